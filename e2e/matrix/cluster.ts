import { type Combination, title, versions } from './combination.ts';
import { MatrixNode } from './node.ts';
import type { ClusterRegistry } from './registry.ts';
import type { Site } from './site.ts';

/** The nodes of one combination. */
export class MatrixCluster {
  readonly #site: Site;
  readonly #combination: Combination;
  readonly #id: string;
  readonly #registry: ClusterRegistry;
  readonly #nodes = new Set<MatrixNode>();

  private constructor(site: Site, combination: Combination, id: string, registry: ClusterRegistry) {
    this.#site = site;
    this.#combination = combination;
    this.#id = id;
    this.#registry = registry;
  }

  static async start(site: Site, combination: Combination): Promise<MatrixCluster> {
    const id = title(combination).toLowerCase().replaceAll(/\W+/g, '-');
    const netConfig = JSON.stringify(networkConfiguration(combination));
    const registry = await site.registry({ id, combination, lab: site.lab, netConfig });
    return new MatrixCluster(site, combination, id, registry);
  }

  async join(number: number): Promise<MatrixNode> {
    const name = `${this.#id}-${number}`;
    await this.#registry.admit(name, number);
    return this.#start(name);
  }

  /** The machine breaks, and another one, with an address of its own, takes its name and its subnet. */
  async replace(node: MatrixNode): Promise<MatrixNode> {
    await this.#end(node);
    await this.#registry.makeRoom(node.name, node.subnets);
    return this.#start(node.name, node.subnetFile);
  }

  /** The machine is gone for good. */
  async remove(node: MatrixNode): Promise<void> {
    await this.#end(node);
    await this.#registry.remove(node.name, node.subnets);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#nodes].map((node) => this.#end(node)));
  }

  async #start(name: string, inherited?: string): Promise<MatrixNode> {
    const node = await MatrixNode.start(this.#site, {
      name,
      family: this.#combination.family,
      registry: this.#registry.options,
      ...(inherited !== undefined && { inherited }),
    });
    this.#nodes.add(node);
    return node;
  }

  async #end(node: MatrixNode): Promise<void> {
    this.#nodes.delete(node);
    await node.powerOff();
  }
}

function networkConfiguration(combination: Combination): object {
  const has = (version: 4 | 6) => versions(combination).includes(version);
  const [type, option] = combination.backend.split(' ');
  return {
    ...(has(4) ? { Network: '10.244.0.0/16' } : { EnableIPv4: false }),
    ...(has(6) && { EnableIPv6: true, IPv6Network: 'fd00:244::/56' }),
    EnableNFTables: combination.rules === 'nftables',
    Backend: { Type: type, ...(option !== undefined && { [option]: true }) },
  };
}
