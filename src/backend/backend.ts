import type { KernelObject } from '../kernel/object.ts';
import type { Lease } from '../lease/lease.ts';
import type { Address } from '../net/address.ts';
import type { Mac } from '../net/mac.ts';
import type { PublicKey, Secret } from '../wireguard/key.ts';

/** The interface for the traffic between nodes. */
export interface External {
  readonly name: string;
  /** Bytes. */
  readonly mtu: number;
  /** Its own addresses. */
  readonly address?: Address;
  readonly ipv6Address?: Address;
  /** At which peers reach this node; may be another's, behind NAT. */
  readonly publicIP?: Address;
  readonly publicIPv6?: Address;
}

/** What a backend remembers of this node from one start to the next, because peers know the node by it. */
export interface Identity {
  /** MAC addresses of devices, by name. */
  readonly macs: Readonly<Record<string, Mac>>;
  readonly wireguard?: WireguardIdentity;
}

export interface WireguardIdentity {
  readonly privateKey: Secret;
  readonly publicKey: PublicKey;
  /** The kernel has no WireGuard: a process does without. */
  readonly userspace: boolean;
}

/** This node, as a backend's plan needs to know it. */
export interface Self {
  readonly lease: Lease;
  readonly external: External;
  readonly identity: Identity;
}

/** Another node, with what the kernel says about the way to it. */
export interface Peer {
  readonly lease: Lease;
  /** Its public addresses are on a link of ours: no router between. */
  readonly onLink: { readonly ipv4: boolean; readonly ipv6: boolean };
}

/** A peer that a backend cannot connect to, or not altogether, with the reason in one line for people. */
export class PeerRefusal extends Error {
  override readonly name = 'PeerRefusal';
  /** What can be done all the same. */
  readonly objects: readonly KernelObject[];

  constructor(reason: string, objects: readonly KernelObject[] = []) {
    super(reason);
    this.objects = objects;
  }
}

/** Plans each family by itself: what a peer lacks in one does not cost it the other. Throws a {@link PeerRefusal}. */
export function planEach<Half>(
  halves: readonly Half[],
  plan: (half: Half) => readonly KernelObject[],
): readonly KernelObject[] {
  const objects: KernelObject[] = [];
  const reasons: string[] = [];
  for (const half of halves) {
    try {
      objects.push(...plan(half));
    } catch (error) {
      if (!(error instanceof PeerRefusal)) throw error;
      reasons.push(error.message);
      objects.push(...error.objects);
    }
  }
  if (reasons.length === 0) return objects;
  const prefix = reasons.length < halves.length ? 'in part, since ' : '';
  throw new PeerRefusal(`${prefix}${reasons.join('; ')}`, objects);
}

/** Nodes reach each other only by the same backend; for a peer that has another one, throws a {@link PeerRefusal}. */
export function requireBackend(type: string, { lease }: Peer): void {
  const { backendType } = lease.attributes;
  if (backendType !== type) {
    throw new PeerRefusal(`its backend is "${backendType}", and this node's is "${type}"`);
  }
}

/**
 * How nodes are joined. A backend is made from net-conf.json's Backend object, and is pure: the same input gives the
 * same plan, and it knows no kernel.
 */
export interface Backend {
  /** As in leases; empty for one without a datapath. */
  readonly type: string;
  /** Devices whose MAC address peers are told, by name. */
  readonly links: readonly string[];
  /** Names that are its own: also those of a family that the network has no more. What is there by such a name and not made goes. */
  readonly ownLinks: readonly string[];
  /** Its plans depend on {@link Peer.onLink}: any route that changes may change them. */
  readonly plansByRoutes?: boolean;
  /** What others make beside this backend, and what therefore stays though it looks like a flannel's of before. */
  readonly spares?: readonly ('boot routes' | 'devices')[];
  /** FLANNEL_MTU for pods, in bytes. */
  mtu(external: External): number;
  /** The MTU that IPv6 traffic between nodes really has where it is smaller than {@link mtu}; undefined: the same. */
  ipv6Mtu(external: External): number | undefined;
  /** What peers are told: goes into the lease. */
  attributes(external: External, identity: Identity): { backendData?: unknown; backendV6Data?: unknown };
  /** Devices, addresses. */
  planNode(self: Self): readonly KernelObject[];
  /** Routes, neighbours, FDB entries for one peer. Throws a {@link PeerRefusal}. */
  planPeer(self: Self, peer: Peer): readonly KernelObject[];
}
