import type { Address } from '../net/address.ts';
import type { Prefix } from '../net/prefix.ts';

/**
 * What of the node's network is ours to change. Everything else is foreign: it is reported where it stands in
 * the way, and never removed.
 */
export interface Ownership {
  /**
   * Our devices, by name: their addresses inside `networks`, permanent neighbours, FDB entries and routes are ours
   * altogether. What is among them and not desired goes; a device that is not desired goes as a whole.
   */
  readonly links: ReadonlySet<string>;
  /** The pod networks of the cluster, at most one a family. Addresses of our devices outside of them stay. */
  readonly networks: readonly Prefix[];
  /**
   * Routes of protocol boot that Go flannel made: ours if destination and gateway are those of a lease, present
   * or last known. Routes of protocol 241 are ours wherever they point.
   */
  readonly isFlannelRoute: (destination: Prefix, gateway: Address | undefined) => boolean;
  /** Blackhole routes of protocol boot to these are Go flannel's, whatever their metric, and so are ours. */
  readonly blackholes?: readonly Prefix[];
}

/**
 * Desired state comes in parts, so that a change of one peer among thousands costs what one peer costs: one part for
 * the node itself, one for each peer, named by the lease's ID. A key belongs to one part.
 */
export type Part = string;
