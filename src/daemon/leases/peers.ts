import { type Backend, type Peer, PeerRefusal, type Self } from '../../backend/backend.ts';
import { byNexthops } from '../../backend/nexthops.ts';
import { type KernelObject, ourProtocol } from '../../kernel/object.ts';
import type { Reconciler } from '../../kernel/reconciler.ts';
import { LeaseBook, type PeerChange } from '../../lease/judge.ts';
import type { Lease, PodNetwork, Refusal } from '../../lease/lease.ts';
import type { Entry } from '../../lease/registry.ts';
import type { Address } from '../../net/address.ts';
import { type Prefix, prefixAddress } from '../../net/prefix.ts';
import type { Log } from '../../world/log.ts';

/** Of a subnet so many are remembered, the newest: a peer may change its address as often as it likes. */
const mostPublicAddresses = 8;

/** The part of the desired state that is this node's own. */
export const nodePart = 'node';
const partOf = (id: string): string => `peer ${id}`;

export interface PeersOptions {
  readonly network: PodNetwork;
  readonly backend: Backend;
  readonly reconciler: Pick<Reconciler, 'replaceParts' | 'setPart' | 'removePart'>;
  readonly log: Log;
  /** `--ip-blackhole-route`. */
  readonly blackhole: boolean;
  /** `--nexthop-objects`. */
  readonly nexthops: boolean;
  /** Whether an address is on a link of this node: no router between. */
  isOnLink(address: Address): boolean;
  /** For what is to be done for peers beside kernel state; `complete` when there are no others. */
  readonly extension?: { keep(peers: readonly Lease[], complete: boolean): void } | undefined;
}

/**
 * The other nodes: their leases, judged, and planned into desired state, with one part for each and one for this node. Until
 * the registry has told everything once, nothing that is in the kernel goes.
 */
export class Peers {
  readonly #options: PeersOptions;
  readonly #book: LeaseBook;
  /** What the backend could not do with peers that the book takes. */
  readonly #refusals = new Map<string, string>();
  /** The refusals that people know of. */
  #told: ReadonlyMap<string, string> = new Map();
  /**
   * The nodes' public addresses by their subnets, now and before: routes lead there, or to the subnet's own address. What Go flannel left
   * is known by this.
   */
  readonly #publicAddresses = new Map<Prefix, readonly Address[]>();
  /** The registry has told everything. */
  #complete = false;
  #nexthops: boolean;
  #self: Self;

  /** `known` are the peers of last time, until the registry says who they are now. */
  constructor(self: Self, known: readonly Lease[], options: PeersOptions) {
    this.#self = self;
    this.#options = options;
    this.#nexthops = options.nexthops;
    this.#book = new LeaseBook(options.network, self.lease);
    for (const lease of known) this.#remember(lease);
    this.#book.all(new Map(known.map((lease) => [lease.id, { lease }])));
    this.#planAll();
  }

  get leases(): Lease[] {
    return [...this.#book.peers.values()];
  }

  /** Why nodes are not peers, each once: what is wrong with a lease comes before what the backend says of the one before it. */
  get refusals(): Refusal[] {
    const byBackend = [...this.#refusals].map(([id, reason]) => ({ id, reason }));
    const refused = new Map([...byBackend, ...this.#book.refusals].map((refusal) => [refusal.id, refusal]));
    return [...refused.values()];
  }

  /** What the kernel says about the ways to others may have changed. */
  waysChanged(): void {
    if (this.#options.backend.plansByRoutes === true) this.#planAll();
  }

  /** This node, or its way out, may have changed. */
  setSelf(self: Self): void {
    this.#self = self;
    this.#book.setOwn(self.lease);
    this.#planAll();
  }

  /** From now on as Go flannel would have it, which cannot remove next-hop objects. */
  withoutNexthops(): void {
    this.#nexthops = false;
    this.#planAll();
  }

  /** As a {@link LeaseSink}. */
  all(entries: ReadonlyMap<string, Entry>): void {
    const change = this.#book.all(entries);
    const isFirst = !this.#complete;
    this.#complete = true;
    if (isFirst) this.#planAll();
    else this.#update(change);
  }

  changed(id: string, entry: Entry): void {
    this.#update(this.#book.changed(id, entry));
  }

  gone(id: string): void {
    this.#update(this.#book.gone(id));
  }

  /** A route with protocol boot is Go flannel's if it leads where a lease, present or last known, says. */
  isFlannelRoute(destination: Prefix, gateway: Address | undefined): boolean {
    const known = this.#publicAddresses.get(destination);
    if (known === undefined || gateway === undefined) return false;
    return gateway === prefixAddress(destination) || known.includes(gateway);
  }

  #update({ changed, gone }: PeerChange): void {
    const { reconciler } = this.#options;
    for (const id of gone) {
      this.#refusals.delete(id);
      reconciler.removePart(partOf(id));
    }
    for (const lease of changed) reconciler.setPart(partOf(lease.id), this.#plan(lease));
    this.#tellRefusals();
    this.#extend();
  }

  #planAll(): void {
    const { reconciler } = this.#options;
    this.#refusals.clear();
    const parts = new Map<string, readonly KernelObject[]>([[nodePart, this.#planNode()]]);
    for (const lease of this.#book.peers.values()) parts.set(partOf(lease.id), this.#plan(lease));
    if (this.#complete) reconciler.replaceParts(parts);
    else for (const [part, objects] of parts) reconciler.setPart(part, objects);
    this.#tellRefusals();
    this.#extend();
  }

  #extend(): void {
    const { extension } = this.#options;
    if (extension === undefined) return;
    extension.keep(
      this.leases.filter(({ id }) => !this.#refusals.has(id)),
      this.#complete,
    );
  }

  #planNode(): readonly KernelObject[] {
    const { backend, blackhole } = this.#options;
    const { subnet, ipv6Subnet } = this.#self.lease;
    const own = [subnet, ipv6Subnet].flatMap((prefix) => prefix ?? []);
    return [...backend.planNode(this.#self), ...(blackhole ? own.map(blackholeTo) : [])];
  }

  #plan(lease: Lease): readonly KernelObject[] {
    this.#remember(lease);
    this.#refusals.delete(lease.id);
    try {
      const objects = this.#options.backend.planPeer(this.#self, this.#peer(lease));
      return this.#nexthops ? byNexthops(objects) : objects;
    } catch (error) {
      if (!(error instanceof PeerRefusal)) throw error;
      this.#refusals.set(lease.id, error.message);
      return error.objects;
    }
  }

  /** The kernel is asked only by a backend that wants to know. */
  #peer(lease: Lease): Peer {
    const isOnLink = (address: Address | undefined): boolean =>
      address !== undefined && this.#options.isOnLink(address);
    const { publicIP, publicIPv6 } = lease.attributes;
    return {
      lease,
      onLink: {
        get ipv4() {
          return isOnLink(publicIP);
        },
        get ipv6() {
          return isOnLink(publicIPv6);
        },
      },
    };
  }

  #remember({ subnet, ipv6Subnet, attributes }: Lease): void {
    this.#know(subnet, attributes.publicIP);
    this.#know(ipv6Subnet, attributes.publicIPv6);
  }

  #know(subnet: Prefix | undefined, publicAddress: Address | undefined): void {
    if (subnet === undefined) return;
    const known = this.#publicAddresses.get(subnet);
    const fresh = publicAddress === undefined || known?.includes(publicAddress) ? [] : [publicAddress];
    if (known === undefined) this.#publicAddresses.set(subnet, fresh);
    else if (fresh.length > 0)
      this.#publicAddresses.set(subnet, [...known, ...fresh].slice(-mostPublicAddresses));
  }

  #tellRefusals(): void {
    const now = new Map(this.refusals.map(({ id, reason }) => [id, reason]));
    for (const [id, reason] of now) {
      if (this.#told.get(id) === reason) continue;
      this.#options.log.warn({ node: id }, `the lease of ${id} is refused: ${reason}`);
    }
    this.#told = now;
  }
}

/** Behind the bridge's own route to the same subnet, which would not be made beside one of metric 0. */
const blackholeTo = (destination: Prefix): KernelObject => ({
  kind: 'route',
  type: 'blackhole',
  destination,
  metric: 1024,
  onlink: false,
  protocol: ourProtocol,
});
