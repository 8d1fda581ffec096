import type { Clock } from '../../world/clock.ts';

/** So long at most it may be put off, in milliseconds. */
const patience = 100;

interface Waiting {
  readonly deadline: number;
  work(): Promise<void>;
  resolve(): void;
}

/**
 * What is to be done and nobody waits for, one after the other while nothing else goes on: it would take a CPU from those who
 * wait.
 */
export class Afterwards {
  readonly #clock: Clock;
  /** Nobody waits for anything. */
  readonly #isQuiet: () => boolean;
  readonly #waiting: Waiting[] = [];
  #isRunning = false;
  #closed = false;
  /** Ends the wait for quiet. */
  #wake: (() => void) | undefined;

  constructor(clock: Clock, isQuiet: () => boolean) {
    this.#clock = clock;
    this.#isQuiet = isQuiet;
  }

  /** To be called when it may have become quiet. */
  look(): void {
    if (this.#isQuiet()) this.#wake?.();
  }

  /** Resolves when `work`, which must not reject, is done. */
  add(work: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ work, resolve, deadline: this.#clock.monotonic() + patience });
    void this.#run();
    return promise;
  }

  /** From now on everything is done at once. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      await this.#quiet(next.deadline);
      await next.work();
      next.resolve();
    }
    this.#isRunning = false;
  }

  async #quiet(deadline: number): Promise<void> {
    const left = deadline - this.#clock.monotonic();
    if (this.#isQuiet() || this.#closed || left <= 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(left, resolve);
    this.#wake = resolve;
    await promise;
    this.#wake = undefined;
    cancel();
  }
}
