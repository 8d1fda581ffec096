import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Status } from '../report/status.ts';

interface Absence {
  readonly since: number;
  readonly why: string;
  /** The reason that the log has: an attempt that fails meanwhile may have another one. */
  readonly told?: string | undefined;
}

/** Whether the registry answers. What changes goes to the log, once. */
export class RegistryContact {
  readonly #name: string;
  readonly #world: { readonly clock: Clock; readonly log: Log };
  #away: Absence | undefined;

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
  }

  /** Since then, in milliseconds since the epoch, nobody hears what happens to others. */
  isAway(since: number, why: string): void {
    if (this.#away?.told !== why) {
      this.#world.log.warn(
        { since: new Date(since).toISOString() },
        `the ${this.#name} is away, peers stay as they are: ${why}`,
      );
    }
    this.#away = { since, why, told: why };
  }

  /** It was asked in vain; `what` comes of that. The next attempt follows in `wait` milliseconds. */
  failed(what: string, why: string, wait: number): void {
    const { clock, log } = this.#world;
    this.#away = { since: clock.now(), ...this.#away, why };
    log.warn({ registry: this.#name, wait }, `${what}: ${why}`);
  }
}
