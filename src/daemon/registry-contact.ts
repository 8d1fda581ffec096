import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Status } from './status.ts';

/** Whether the registry answers. What changes goes to the log, once. */
export class RegistryContact {
  readonly #name: string;
  readonly #world: { readonly clock: Clock; readonly log: Log };
  #away: { readonly since: number; readonly why: string } | undefined;
  /** Why it is away, as the log has it: an attempt that fails meanwhile may have another reason. */
  #told: string | undefined;

  constructor(name: string, world: { readonly clock: Clock; readonly log: Log }) {
    this.#name = name;
    this.#world = world;
  }

  status(): Status['registry'] {
    const away = this.#away;
    return {
      name: this.#name,
      ...(away && { staleSince: new Date(away.since).toISOString(), why: away.why }),
    };
  }

  answers(): void {
    if (this.#away !== undefined) this.#world.log.info({}, `the ${this.#name} answers again`);
    this.#away = undefined;
    this.#told = undefined;
  }

  /** Since then, in milliseconds since the epoch, nobody hears what happens to others. */
  isAway(since: number, why: string): void {
    if (this.#told !== why) {
      this.#world.log.warn(
        { since: new Date(since).toISOString() },
        `the ${this.#name} is away, peers stay as they are: ${why}`,
      );
    }
    this.#told = why;
    this.#away = { since, why };
  }

  /** It was asked in vain; `what` comes of that. The next attempt follows in `wait` milliseconds. */
  failed(what: string, why: string, wait: number): void {
    const { clock, log } = this.#world;
    this.#away = { since: this.#away?.since ?? clock.now(), why };
    log.warn({ registry: this.#name, wait }, `${what}: ${why}`);
  }
}
