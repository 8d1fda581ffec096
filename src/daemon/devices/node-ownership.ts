import type { Backend } from '../../backend/backend.ts';
import { leftovers } from '../../backend/leftovers.ts';
import type { Ownership } from '../../kernel/desired.ts';
import type { Lease, PodNetwork } from '../../lease/lease.ts';
import type { Prefix } from '../../net/prefix.ts';

export interface OwnershipInput {
  readonly backend: Pick<Backend, 'ownLinks' | 'spares'>;
  readonly network: PodNetwork;
  /** What the node had before: its subnet file, and its lease. */
  readonly before: readonly (Pick<Lease, 'subnet' | 'ipv6Subnet'> | undefined)[];
  /** The node's devices as they are. */
  readonly devices: Parameters<typeof leftovers>[0];
  readonly isFlannelRoute: Ownership['isFlannelRoute'];
  /** `--ip-blackhole-route`: the subnets that it is for. */
  readonly blackholes: readonly Prefix[];
}

/** What on this node is flannel's, ours or Go's, of now or of another configuration before. */
export function nodeOwnership(input: OwnershipInput): Ownership {
  const { backend, network, before, devices, isFlannelRoute, blackholes } = input;
  const { ownLinks, spares = [] } = backend;
  const subnets = before.flatMap((had) => [had?.subnet, had?.ipv6Subnet]);
  // A network of before counts too: what it left here is ours to clear.
  const networks = [network.ipv4, network.ipv6, ...subnets].flatMap((each) => each ?? []);
  return {
    links: new Set([...ownLinks, ...(spares.includes('devices') ? [] : leftovers(devices, networks))]),
    networks,
    isFlannelRoute: (destination, gateway) =>
      !spares.includes('boot routes') && isFlannelRoute(destination, gateway),
    blackholes,
  };
}
