import type { Clock } from '../../src/world/clock.ts';

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

/** Turns of the event loop after each timer, so that what it started comes to its next wait. */
const turns = 50;

/** Time that passes only when a test says so. */
export class VirtualClock implements Clock {
  #time: number;
  readonly #start: number;
  readonly #timers = new Set<Timer>();

  /** @param start wall clock, in milliseconds since the epoch */
  constructor(start = 1_700_000_000_000) {
    this.#start = start;
    this.#time = start;
  }

  now(): number {
    return this.#time;
  }

  monotonic(): number {
    return this.#time - this.#start;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#time + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Lets `ms` milliseconds pass, and calls back what comes due on the way, in its order. */
  async advance(ms: number): Promise<void> {
    const end = this.#time + ms;
    for (;;) {
      await idle();
      const [next] = [...this.#timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#time = Math.max(this.#time, next.at);
      next.callback();
    }
    this.#time = end;
  }
}

/** Lets everything run that does not wait for time. */
export async function idle(): Promise<void> {
  for (let i = 0; i < turns; i++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}
