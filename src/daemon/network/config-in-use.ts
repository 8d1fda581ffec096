import type { Log } from '../../world/log.ts';
import type { EffectiveNetwork } from './effective-network.ts';

export interface ConfigInUseOptions {
  /** Where it was found, for people: `/etc/net-conf.json`. */
  readonly place: string;
  readonly text: string;
  /** What the configuration means for this node. Throws an Error that says why it cannot be used. */
  parse(text: string): EffectiveNetwork;
  readonly log: Log;
}

/** The network configuration with which this process started, beside what becomes of it. */
export class ConfigInUse {
  readonly #options: ConfigInUseOptions;
  #difference: string | undefined;

  constructor(options: ConfigInUseOptions) {
    this.#options = options;
  }

  /** In what the configuration of now is another than the one in use; undefined: in nothing. */
  get difference(): string | undefined {
    return this.#difference;
  }

  /** `text` stands there now; undefined: nothing. A difference is told. True for another one that could be used. */
  compare(text: string | undefined): boolean {
    const before = this.#difference;
    const { difference, usable } = this.#differenceTo(text);
    this.#difference = difference;
    if (difference !== undefined && difference !== before) this.#options.log.warn({}, difference);
    return usable;
  }

  #differenceTo(text: string | undefined): { difference: string | undefined; usable: boolean } {
    const { place, text: own, parse } = this.#options;
    const subject = `the network configuration at ${place}`;
    const keeps = 'this node keeps the one with which it started';
    if (text === undefined) return { difference: `${subject} is gone; ${keeps}`, usable: false };
    if (text === own) return { difference: undefined, usable: false };
    try {
      if (isSame(parse(text), parse(own))) return { difference: undefined, usable: false };
    } catch (error) {
      const why = (error as Error).message;
      return { difference: `${subject} has become unusable, and ${keeps}: ${why}`, usable: false };
    }
    return { difference: `${subject} has changed; ${keeps}: restart flanneld for the new one`, usable: true };
  }
}

const isSame = (one: EffectiveNetwork, other: EffectiveNetwork): boolean =>
  JSON.stringify(one.config) === JSON.stringify(other.config);
