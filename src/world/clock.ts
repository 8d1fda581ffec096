/**
 * Time, passed in. Nothing below the programs' entry points reads a clock or sets a timer by itself,
 * so that a test can run a cluster on a virtual clock.
 */
export interface Clock {
  /** Wall clock, in milliseconds since the epoch. */
  now(): number;
  /** A clock that never jumps, in milliseconds (fractions included). */
  monotonic(): number;
  /** Calls `callback` once after `ms` milliseconds; the answer cancels it. */
  after(ms: number, callback: () => void): () => void;
}

/** Resolves after `ms` milliseconds, or at once when `signal` aborts: the caller looks at the signal. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const wake = () => {
      cancel();
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const cancel = clock.after(ms, wake);
    signal?.addEventListener('abort', wake, { once: true });
  });
}

/** Resolves when `work` is done, or after `ms` milliseconds. Rejects when `work` does before. */
export async function waitAtMost(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  const waiting = new AbortController();
  try {
    await Promise.race([work, sleep(clock, ms, waiting.signal)]);
  } finally {
    waiting.abort();
  }
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
