import type { LastKnown } from '../../lease/last-known.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';

/** The state is saved so long after it changed, in milliseconds. */
const delay = 1000;

export interface SavedStateWorld {
  readonly clock: Clock;
  readonly log: Log;
  saveLastKnown(state: LastKnown): void;
}

/** What a start without the registry goes by, saved some moments after it changed: changes come in crowds. */
export class SavedState {
  readonly #world: SavedStateWorld;
  readonly #state: () => LastKnown | undefined;
  #cancel: (() => void) | undefined;

  /** `state` answers undefined while there is nothing to save. */
  constructor(world: SavedStateWorld, state: () => LastKnown | undefined) {
    this.#world = world;
    this.#state = state;
  }

  changed(): void {
    this.#cancel ??= this.#world.clock.after(delay, () => this.save());
  }

  /** Saves now what has changed, and no more afterwards. */
  close(): void {
    if (this.#cancel !== undefined) this.save();
  }

  /** At once: what a node is ready with must be there when it is killed the moment after. */
  save(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const state = this.#state();
    if (state === undefined) return;
    try {
      this.#world.saveLastKnown(state);
    } catch (error) {
      this.#world.log.warn({}, `cannot save the last known state: ${(error as Error).message}`);
    }
  }
}
