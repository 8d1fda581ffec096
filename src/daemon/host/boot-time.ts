import { statSync } from 'node:fs';
import { uptime } from 'node:os';

/** What the machine says of its start. Times in milliseconds since the epoch. */
interface BootTraces {
  readonly now: number;
  /** In seconds. */
  readonly uptime: number;
  /** The age of a file system that lives as long as the kernel; undefined: nobody tells. */
  readonly mounted: number | undefined;
}

/**
 * When this boot began, by the clock that stamped the files of this boot at the latest. The clock less the uptime is later where
 * the clock jumped: a machine without a clock of its own starts in the past, and one that is paused counts no uptime.
 */
export const bootTimeOf = ({ now, uptime: seconds, mounted = now }: BootTraces): number =>
  Math.min(now - seconds * 1000, mounted);

/**
 * The earliest that the traces have told since the first call. A clock that was ahead, and is set back while we run, stamps new files
 * with times before the start that it told.
 */
export function earliestBootTime(traces: () => BootTraces): () => number {
  let earliest = Number.POSITIVE_INFINITY;
  return () => (earliest = Math.min(earliest, bootTimeOf(traces())));
}

/** Of this machine. sysfs belongs to a network namespace, so that a container in the node's sees the node's. */
export const bootTraces = (now: number): BootTraces => ({
  now,
  uptime: uptime(),
  mounted: statSync('/sys', { throwIfNoEntry: false })?.mtimeMs,
});
