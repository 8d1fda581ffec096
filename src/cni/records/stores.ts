import path from 'node:path';
import { parseRangeSets } from '../../ipam/range-set.ts';
import { openStore, type Store } from '../../ipam/store.ts';
import type { Usage } from '../../ipam/usage.ts';
import { networkOf, type Prefix } from '../../net/prefix.ts';

/** The networks' addresses that this process has had to do with, each opened once and kept. */
export class Stores {
  readonly #world: Omit<Parameters<typeof openStore>[0], 'directory'>;
  readonly #open = new Map<string, Store>();

  constructor(world: Omit<Parameters<typeof openStore>[0], 'directory'>) {
    this.#world = world;
  }

  /** `directory` is `<ipam.dataDir>/<network>`. */
  open(directory: string): Store {
    const key = path.resolve(directory);
    const known = this.#open.get(key);
    if (known !== undefined) return known;
    const store = openStore({ ...this.#world, directory: key });
    this.#open.set(key, store);
    return store;
  }

  /** Undefined where there is no such directory: a store that is locked makes it. */
  openExisting(directory: string): Store | undefined {
    return this.#world.files.existsSync(directory) ? this.open(directory) : undefined;
  }

  usage(subnets: readonly Prefix[]): { network: string; usage: Usage[] }[] {
    if (subnets.length === 0) return [];
    const ranges = subnets.map((subnet) => [{ subnet: networkOf(subnet) }]);
    const sets = parseRangeSets({ ranges, cniVersion: '1.0.0' });
    return [...this.#open].map(([directory, store]) => ({
      network: path.basename(directory),
      usage: store.usage(sets),
    }));
  }

  close(): void {
    for (const store of this.#open.values()) store.close();
    this.#open.clear();
  }
}
