import { BackOff, type BackOffLimits } from '../http/back-off.ts';
import { type Clock, sleep } from '../world/clock.ts';
import type { Random } from '../world/random.ts';

/** What a wait is made of. */
export interface RetryWorld {
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Calls `attempt` until it succeeds, however long that takes, with waits that double, less a random part. Each failure
 * goes to `failed` with the wait that follows, in milliseconds. Undefined when `signal` aborts before.
 */
export async function retry<T>(
  { clock, random }: RetryWorld,
  limits: BackOffLimits,
  attempt: () => T | Promise<T>,
  failed: (error: unknown, wait: number) => void,
  signal: AbortSignal,
): Promise<T | undefined> {
  const backOff = new BackOff(limits, random);
  while (!signal.aborted) {
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted) return undefined;
      const wait = Math.round(backOff.next());
      failed(error, wait);
      await sleep(clock, wait, signal);
    }
  }
  return undefined;
}
