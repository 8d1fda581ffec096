import type { Address } from '../net/address.ts';
import type { Prefix } from '../net/prefix.ts';

/**
 * A node's claim on a subnet of the pod network, as it stands in a registry: what Go flannel calls a lease.
 * Everything in it was read from a cluster object and is untrusted until {@link file://./judge.ts} has seen it.
 */
export interface Lease {
  /** Who holds it, for ever the same while the node is: the node's name, or the key in etcd. */
  readonly id: string;
  readonly subnet?: Prefix;
  readonly ipv6Subnet?: Prefix;
  readonly attributes: LeaseAttributes;
}

/** What a node tells the others about itself. */
export interface LeaseAttributes {
  /** Where peers reach it. */
  readonly publicIP?: Address;
  readonly publicIPv6?: Address;
  /** `vxlan`; empty for backends without a datapath. */
  readonly backendType: string;
  /** What the backend wrote for IPv4 and IPv6, parsed JSON; undefined where there is none. */
  readonly backendData?: unknown;
  readonly backendV6Data?: unknown;
}

/** The pod network as net-conf.json has it, for judging leases. */
export interface PodNetwork {
  readonly ipv4?: Prefix;
  readonly ipv6?: Prefix;
}

/** An entry of a registry that cannot be used, with the reason in one line for people. */
export interface Refusal {
  readonly id: string;
  readonly reason: string;
}
