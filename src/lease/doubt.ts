import { type Prefix, prefixFamily } from '../net/prefix.ts';
import type { Clock } from '../world/clock.ts';
import { idOf, isNodeName, type LeaseFile } from './lease-files.ts';
import { RegistryError } from './registry.ts';

/**
 * So long, in milliseconds, a document that says nothing may be that of a node which is about to write it again: one that runs does so
 * in seconds, and in half a minute where nothing is announced. Shorter than service managers wait for a start.
 */
const patience = 60_000;

/** The network configuration may lie beside the leases. */
const notOfNode = 'net-conf.json';

/** Keeps free subnets back while one of them may be that of a node whose document is damaged. */
export class Doubt {
  readonly #clock: Clock;
  /**
   * When each of the documents that cannot be read was first seen so, in monotonic milliseconds: the file's own times are another
   * machine's clock, and start anew with each write.
   */
  #since: ReadonlyMap<string, number> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Throws a {@link RegistryError} while one of the documents, by name, cannot be read and names no subnet in the family of `network`:
   * any free one may be its node's. What stays so is nobody's, and must not keep new nodes out for ever.
   */
  refuse(network: Prefix, documents: ReadonlyMap<string, LeaseFile>, registry: string): void {
    const now = this.#clock.monotonic();
    const damaged = [...documents].flatMap(([name, { entry, named }]) => {
      if (!('unreadable' in entry) || !isOfNode(name)) return [];
      return [{ name, named, why: entry.unreadable, since: this.#since.get(name) ?? now }];
    });
    this.#since = new Map(damaged.map(({ name, since }) => [name, since]));
    const isSilent = (named: readonly Prefix[]): boolean =>
      !named.some((subnet) => prefixFamily(subnet) === prefixFamily(network));
    const doubtful = damaged.find(({ named, since }) => now - since < patience && isSilent(named));
    if (doubtful === undefined) return;
    throw new RegistryError(
      `any free subnet of ${network} may be that of ${doubtful.name} in ${registry}, which says nothing: ${doubtful.why}; ` +
        'its node writes it again if it runs. Mend it, or remove it if that node is gone; ' +
        `after ${patience / 1000} s it does not count`,
      { withoutSubnet: true },
    );
  }
}

const isOfNode = (name: string): boolean => name !== notOfNode && isNodeName(idOf(name));
