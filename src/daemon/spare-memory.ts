import type { Clock } from '../world/clock.ts';

/** So long after the start, in milliseconds: the kernel's echo of what was written has come by then. */
const delay = 200;

/**
 * Gives back the memory that a start took: to read and compare thousands of peers takes four times what keeping them does, and V8, which
 * collects as memory is asked for, would never look at it again in a daemon that idles. Takes 10 ms, with 5,000 peers 40 ms. The starter
 * lets the runtime do it (`--expose-gc`).
 */
export function returnSpareMemory(clock: Clock): void {
  clock.after(delay, () => globalThis.gc?.({ type: 'major', flavor: 'last-resort', execution: 'sync' }));
}
