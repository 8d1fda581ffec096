import { type Clock, sleep } from '../world/clock.ts';

/** Milliseconds: the first wait, and the longest. */
export interface BackOff {
  readonly first: number;
  readonly longest: number;
}

/**
 * Calls `attempt` until it succeeds, however long that takes, with waits that double. Each failure goes to
 * `failed` with the wait that follows. Undefined when `signal` aborts before.
 */
export async function retry<T>(
  clock: Clock,
  { first, longest }: BackOff,
  attempt: () => T | Promise<T>,
  failed: (error: unknown, wait: number) => void,
  signal: AbortSignal,
): Promise<T | undefined> {
  for (let wait = first; !signal.aborted; wait = Math.min(2 * wait, longest)) {
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted) return undefined;
      failed(error, wait);
      await sleep(clock, wait, signal);
    }
  }
  return undefined;
}
