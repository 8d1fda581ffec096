import type { Prefix } from '../../net/prefix.ts';
import type { NodeWorld } from '../node-world.ts';
import { retry } from '../retry.ts';
import type { SubnetEnv } from './subnet-env.ts';

/** Between attempts to write it, in milliseconds. */
const backOff = { first: 500, longest: 15_000 };

type World = Pick<NodeWorld, 'clock' | 'random' | 'log' | 'keepFirewall' | 'writeSubnetEnv'>;

const advice = 'make it possible to write there, or name another place (--subnet-file)';

/** A node as it is now. */
interface Current {
  readonly networks: readonly Prefix[];
  /** None: there is no lease yet. */
  readonly subnets: readonly Prefix[];
  readonly subnetEnv: SubnetEnv | undefined;
}

/** What CNI plugins read of a node, kept as the node is. */
export class SubnetFile {
  readonly #world: World;
  readonly #node: Current;
  readonly #signal: AbortSignal;
  #written: string | undefined;

  /** `signal` ends what is tried again and again. */
  constructor(world: World, node: Current, signal: AbortSignal) {
    this.#world = world;
    this.#node = node;
    this.#signal = signal;
  }

  /** The firewall first, before the file says that pods need not hide themselves; anew when the subnets are others by then. */
  async refresh(): Promise<void> {
    const subnets = (): string => this.#node.subnets.join(' ');
    for (let kept = ''; kept !== subnets() && !this.#signal.aborted; ) {
      kept = subnets();
      await this.#world.keepFirewall(this.#node.networks, this.#node.subnets);
      if (kept === subnets()) await this.#keep();
    }
  }

  async #keep(): Promise<void> {
    const { log } = this.#world;
    await retry(
      this.#world,
      backOff,
      () => this.#write(),
      (error, wait) =>
        log.error({ wait }, `cannot write the subnet file: ${(error as Error).message}; ${advice}`),
      this.#signal,
    );
  }

  #write(): void {
    const { subnetEnv } = this.#node;
    const text = JSON.stringify(subnetEnv);
    if (subnetEnv === undefined || text === this.#written) return;
    this.#world.writeSubnetEnv(subnetEnv);
    this.#written = text;
  }
}
