import { familyOf } from '../../net/address.ts';
import { prefixAddress } from '../../net/prefix.ts';
import * as k from '../../netlink/constants.ts';
import type { BridgeState, PlannedAddress, PortInput, VethInput } from './attachment.ts';
import type { Step } from './step.ts';

/** One queue each way is all that a veth uses; the default is one for each possible CPU, which costs time. */
const oneQueue = { IFLA_NUM_TX_QUEUES: 1, IFLA_NUM_RX_QUEUES: 1 };

/**
 * The veth pair in one message: the peer is born in the pod's namespace with its final name and MAC (moving
 * it there would cost 20 ms with RTNL held), the host's end up and on the bridge. For a socket in the node's namespace.
 */
export function vethStep({ options, bridge, pod, host }: VethInput): Step {
  const common = { ...(options.mtu > 0 && { IFLA_MTU: options.mtu }), ...oneQueue };
  const peer = { IFLA_IFNAME: pod.ifname, IFLA_ADDRESS: pod.mac, ...common, IFLA_NET_NS_FD: pod.netnsFd };
  return {
    message: 'newLink',
    flags: k.NLM_F_CREATE | k.NLM_F_EXCL,
    value: {
      ifi_flags: k.IFF_UP,
      ifi_change: k.IFF_UP,
      IFLA_IFNAME: host.name,
      IFLA_ADDRESS: host.mac,
      ...common,
      IFLA_MASTER: bridge.ifindex,
      IFLA_LINKINFO: { IFLA_INFO_KIND: 'veth', IFLA_INFO_DATA: { VETH_INFO_PEER: peer } },
    },
  };
}

/**
 * What a new port is not by itself, in one message: the kernel announces each. A port has no use for a link-local address, since all
 * that comes in belongs to the bridge; with one on each, and their routes, every change of a link costs the kernel more.
 */
export function portSteps({ options, host, forwarding }: PortInput): Step[] {
  const { hairpinMode, portIsolation, mtu } = options;
  const hasIPv6 = forwarding[6] !== undefined && (mtu === 0 || mtu >= k.IPV6_MIN_MTU);
  const IFLA_INFO_SLAVE_DATA = {
    ...(hairpinMode && { IFLA_BRPORT_MODE: 1 }),
    ...(portIsolation && { IFLA_BRPORT_ISOLATED: 1 }),
  };
  const isPlain = !hairpinMode && !portIsolation;
  if (isPlain && !hasIPv6) return [];
  const value = {
    IFLA_IFNAME: host.name,
    ...(hasIPv6 && { IFLA_AF_SPEC: { AF_INET6: { IFLA_INET6_ADDR_GEN_MODE: k.IN6_ADDR_GEN_MODE_NONE } } }),
    ...(!isPlain && { IFLA_LINKINFO: { IFLA_INFO_SLAVE_KIND: 'bridge', IFLA_INFO_SLAVE_DATA } as const }),
  };
  return [{ message: 'newLink', flags: 0, value }];
}

/** Neighbour entries that an earlier holder of an address left would send traffic to a MAC that is gone. */
export function staleNeighbourSteps(
  { ifindex }: Pick<BridgeState, 'ifindex'>,
  ips: readonly PlannedAddress[],
): Step[] {
  return ips.map(({ address }): Step => {
    const NDA_DST = prefixAddress(address);
    const ndm_family = familyOf(NDA_DST) === 4 ? k.AF_INET : k.AF_INET6;
    return {
      message: 'delNeighbour',
      tolerate: 'ENOENT',
      value: { ndm_family, ndm_ifindex: ifindex, NDA_DST },
    };
  });
}
