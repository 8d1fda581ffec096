import type { Prefix } from '../net/prefix.ts';
import type { Lease, LeaseAttributes, PodNetwork } from './lease.ts';

/** What this node asks a registry for. */
export interface LeaseWish {
  readonly attributes: LeaseAttributes;
  readonly network: PodNetwork;
  /** The subnets that the node had before (subnet.env), taken again if they are free and fit. */
  readonly previous: { readonly subnet?: Prefix; readonly ipv6Subnet?: Prefix };
}

/** By what a node knows the lease that it has already. */
export type LeaseOwner = Pick<LeaseWish, 'network' | 'previous'> & {
  readonly attributes: Pick<LeaseAttributes, 'publicIP' | 'publicIPv6'>;
};

/** What a registry tells, in its order. An entry that cannot be read comes as a reason. */
export interface LeaseSink {
  /** All there is: whatever is not among it is gone. Comes first, and again after every gap. */
  all(entries: ReadonlyMap<string, Entry>): void;
  /** One entry, new or changed. */
  changed(id: string, entry: Entry): void;
  gone(id: string): void;
  /** The registry does not answer since then (milliseconds since the epoch); undefined: it does again. */
  stale(since: number | undefined, why?: string): void;
}

export type Entry = { readonly lease: Lease } | { readonly unreadable: string };

/** Where the nodes' leases are kept: a directory, the Kubernetes API, etcd. */
export interface Registry {
  /** For logs and status: `directory /srv/leases`. */
  readonly name: string;
  /** This node's lease as the registry has it now: it keeps a MAC address, say. Undefined when there is none. */
  own(owner: LeaseOwner): Promise<Lease | undefined>;
  /**
   * Takes the lease, or renews it with these attributes, and keeps it. Rejects with a {@link RegistryError}
   * when that cannot be done now (try again) or at all (`permanent`).
   */
  acquire(wish: LeaseWish): Promise<Lease>;
  /** Tells the sink about all leases, this node's included, until the answer is called. Never throws; it tries for ever. */
  watch(sink: LeaseSink): () => void;
  /** The network is up: tells the cluster, where it wants to know. */
  complete(): Promise<void>;
}

interface RegistryErrorOptions {
  readonly permanent?: boolean;
  readonly withoutSubnet?: boolean;
  readonly cause?: unknown;
}

/** Says what was tried, where, why it failed and what mends it. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError';
  /** Trying again without a change of configuration is of no use. */
  readonly permanent: boolean;
  /** The registry answers, and has no subnet for this node: the one that it had before may be another node's by now. */
  readonly withoutSubnet: boolean;

  constructor(
    message: string,
    { permanent = false, withoutSubnet = false, cause }: RegistryErrorOptions = {},
  ) {
    super(message, { cause });
    this.permanent = permanent;
    this.withoutSubnet = withoutSubnet;
  }
}
