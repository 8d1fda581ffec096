import type { External } from '../../backend/backend.ts';
import type { NodeWorld } from '../node-world.ts';

/** The interface that leads to other nodes, looked for anew whenever it may be another one. */
export class WayOut {
  readonly #world: Pick<NodeWorld, 'chooseExternal' | 'log'>;
  #external: External;
  #lost: string | undefined;

  /** Throws an InterfaceError when there is none yet. */
  constructor(world: Pick<NodeWorld, 'chooseExternal' | 'log'>) {
    this.#world = world;
    this.#external = world.chooseExternal();
  }

  /** The one that served last. */
  get external(): External {
    return this.#external;
  }

  /** Why none serves any more. */
  get lost(): string | undefined {
    return this.#lost;
  }

  /** Takes what there is now. Throws an InterfaceError when nothing leads to other nodes, and keeps why. */
  choose(): void {
    try {
      this.#external = this.#world.chooseExternal();
      this.#lost = undefined;
    } catch (error) {
      this.#lost = (error as Error).message;
      throw error;
    }
  }

  /** The same, told in the log: it may be another address, another interface, another MTU. */
  look(): 'gone' | 'same' | 'changed' {
    const { log } = this.#world;
    const [before, lost] = [this.#external, this.#lost];
    try {
      this.choose();
    } catch (error) {
      const why = (error as Error).message;
      if (why !== lost) log.warn({ interface: before.name }, `the way to other nodes is gone: ${why}`);
      return 'gone';
    }
    const now = this.#external;
    if (lost !== undefined) log.info({ interface: now.name }, 'there is a way to other nodes again');
    if (JSON.stringify(now) === JSON.stringify(before)) return 'same';
    log.info({ before, now }, 'the way to other nodes has changed');
    return 'changed';
  }
}
