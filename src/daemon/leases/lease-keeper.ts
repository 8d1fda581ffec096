import type { Lease } from '../../lease/lease.ts';
import { type LeaseWish, type Registry, RegistryError } from '../../lease/registry.ts';
import { retry, type RetryWorld } from '../retry.ts';

export interface LeaseKeeperOptions extends RetryWorld {
  readonly registry: Pick<Registry, 'acquire'>;
  /** What this node asks for now: looked at anew for each attempt. */
  wish(): LeaseWish;
  /** An attempt came to nothing; the next one follows after `wait` milliseconds. */
  failed(error: unknown, wait: number): void;
}

/** Milliseconds. */
const backOff = { first: 500, longest: 15_000 };

/** Asks the registry for this node's lease, for as long as that takes. There is one asking at a time, and the last word wins. */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #asking = new AbortController();
  /** Ends when no attempt of an earlier asking is under way. */
  #turn: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
  }

  /**
   * The lease; undefined when a later call, or {@link stop}, has taken the place of this one before there was any. Rejects with a
   * permanent RegistryError.
   */
  ask(): Promise<Lease | undefined> {
    this.#asking.abort();
    const asking = new AbortController();
    if (this.#stopped) asking.abort();
    this.#asking = asking;
    const lease = this.#turn.then(() => this.#ask(asking.signal));
    this.#turn = lease.catch(() => {});
    return lease;
  }

  stop(): void {
    this.#stopped = true;
    this.#asking.abort();
  }

  async #ask(signal: AbortSignal): Promise<Lease | undefined> {
    const { failed } = this.#options;
    const outcome = await retry(this.#options, backOff, () => this.#attempt(), failed, signal);
    if (this.#stopped) return undefined;
    if (!(outcome instanceof RegistryError)) return outcome;
    if (signal.aborted) return undefined;
    throw outcome;
  }

  /** A permanent refusal is an answer as well: to ask again would be of no use. */
  async #attempt(): Promise<Lease | RegistryError> {
    try {
      return await this.#options.registry.acquire(this.#options.wish());
    } catch (error) {
      if (error instanceof RegistryError && error.permanent) return error;
      throw error;
    }
  }
}
