import { type Backend, type Peer, PeerRefusal, type Self } from '../backend/backend.ts';
import { type KernelObject, ourProtocol } from '../kernel/object.ts';
import type { Reconciler } from '../kernel/reconciler.ts';
import type { LeaseBook, PeerChange } from '../lease/judge.ts';
import type { Lease, Refusal } from '../lease/lease.ts';
import type { Address } from '../net/address.ts';
import type { Prefix } from '../net/prefix.ts';

/** The part of the desired state that is this node's own. */
export const nodePart = 'node';
const partOf = (id: string): string => `peer ${id}`;

export interface PeersOptions {
  readonly backend: Backend;
  readonly reconciler: Pick<Reconciler, 'replaceParts' | 'setPart' | 'removePart'>;
  /** `--ip-blackhole-route`. */
  readonly blackhole: boolean;
  /** Whether an address is on a link of this node: no router between. */
  isOnLink(address: Address): boolean;
}

/** Turns leases into desired state: one part for this node, one for each peer. */
export class Peers {
  readonly #options: PeersOptions;
  /** What the backend could not do with peers that the book takes. */
  readonly #refusals = new Map<string, string>();
  /** Where routes to nodes lead or have led: what Go flannel left is known by this. */
  readonly #gateways = new Map<Prefix, Set<Address>>();
  #self: Self;

  constructor(self: Self, options: PeersOptions) {
    this.#self = self;
    this.#options = options;
  }

  get refusals(): Refusal[] {
    return [...this.#refusals].map(([id, reason]) => ({ id, reason }));
  }

  /** This node or its way out has changed: what is planned from now on goes by it. */
  setSelf(self: Self): void {
    this.#self = self;
  }

  /** These peers and no others. */
  replace(peers: Iterable<Lease>): void {
    this.#refusals.clear();
    const parts = new Map<string, readonly KernelObject[]>([[nodePart, this.#planNode()]]);
    for (const lease of peers) parts.set(partOf(lease.id), this.#plan(lease));
    this.#options.reconciler.replaceParts(parts);
  }

  /** These peers beside what there is: nothing is removed. For what was known before the registry has spoken. */
  add(peers: Iterable<Lease>): void {
    const { reconciler } = this.#options;
    reconciler.setPart(nodePart, this.#planNode());
    for (const lease of peers) reconciler.setPart(partOf(lease.id), this.#plan(lease));
  }

  update({ changed, gone }: PeerChange): void {
    const { reconciler } = this.#options;
    for (const id of gone) {
      this.#refusals.delete(id);
      reconciler.removePart(partOf(id));
    }
    for (const lease of changed) reconciler.setPart(partOf(lease.id), this.#plan(lease));
  }

  /** A route with protocol boot is Go flannel's if it leads where a lease, present or last known, says. */
  isFlannelRoute(destination: Prefix, gateway: Address | undefined): boolean {
    return gateway !== undefined && this.#gateways.get(destination)?.has(gateway) === true;
  }

  /** What leases say, without a plan: for those last known. */
  remember({ subnet, ipv6Subnet, attributes }: Lease): void {
    this.#know(subnet, attributes.publicIP);
    this.#know(ipv6Subnet, attributes.publicIPv6);
  }

  #know(subnet: Prefix | undefined, publicAddress: Address | undefined): void {
    if (subnet === undefined) return;
    const gateways = this.#gateways.get(subnet) ?? new Set();
    gateways.add(subnet.slice(0, subnet.indexOf('/')) as Address);
    if (publicAddress !== undefined) gateways.add(publicAddress);
    this.#gateways.set(subnet, gateways);
  }

  #planNode(): readonly KernelObject[] {
    const { backend, blackhole } = this.#options;
    const { subnet, ipv6Subnet } = this.#self.lease;
    const own = [subnet, ipv6Subnet].flatMap((prefix) => prefix ?? []);
    return [...backend.planNode(this.#self), ...(blackhole ? own.map(blackholeTo) : [])];
  }

  #plan(lease: Lease): readonly KernelObject[] {
    this.remember(lease);
    this.#refusals.delete(lease.id);
    try {
      return this.#options.backend.planPeer(this.#self, this.#peer(lease));
    } catch (error) {
      if (!(error instanceof PeerRefusal)) throw error;
      this.#refusals.set(lease.id, error.message);
      return [];
    }
  }

  /** The kernel is asked only by a backend that wants to know. */
  #peer(lease: Lease): Peer {
    const { isOnLink } = this.#options;
    const { publicIP, publicIPv6 } = lease.attributes;
    return {
      lease,
      onLink: {
        get ipv4() {
          return publicIP !== undefined && isOnLink(publicIP);
        },
        get ipv6() {
          return publicIPv6 !== undefined && isOnLink(publicIPv6);
        },
      },
    };
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

/** Why nodes are not peers, by whoever found it. */
export const allRefusals = (book: Pick<LeaseBook, 'refusals'>, peers: Pick<Peers, 'refusals'>): Refusal[] => [
  ...book.refusals,
  ...peers.refusals,
];
