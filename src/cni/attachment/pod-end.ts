import { familyOf } from '../../net/address.ts';
import { linkLocalAddress } from '../../net/link-local.ts';
import type { Mac } from '../../net/mac.ts';
import { prefixAddress, prefixFamily, prefixLength } from '../../net/prefix.ts';
import * as k from '../../netlink/constants.ts';
import type { Request } from '../../netlink/message.ts';
import { newAddress } from '../../netlink/route/address.ts';
import { setLink } from '../../netlink/route/link.ts';
import { delNeighbour, newNeighbour } from '../../netlink/route/neighbour.ts';
import type { RouteWrite } from '../../netlink/route/route.ts';
import type { AddressInput, BridgeOptions, PlannedAddress, PlannedRoute } from './attachment.ts';
import { addressStep } from './bridge.ts';
import { type Addressing, gatewayOf, isDefaultRoute } from './routes.ts';
import type { Step } from './step.ts';

/** Up; and from then on its IPv4 addresses are announced whenever it comes up again, as the reference has it. */
export const upStep = (ifindex: number): Step => ({
  message: 'setLink',
  value: {
    ifi_index: ifindex,
    ifi_flags: k.IFF_UP,
    ifi_change: k.IFF_UP,
    IFLA_AF_SPEC: { AF_INET: { IFLA_INET_CONF: { IPV4_DEVCONF_ARP_NOTIFY: 1 } } },
  },
});

/** The addresses of a link that is up, then the routes. */
export function addressSteps(
  { options, ipv6RouteMtu }: Pick<AddressInput, 'options' | 'ipv6RouteMtu'>,
  addressing: Addressing,
  ifindex: number,
): Step[] {
  return [
    ...addressing.ips.map(({ address }) => addressStep(address, ifindex, options.enabledad)),
    ...addressing.routes.map((route): Step => {
      const mtu = route.mtu ?? (isToOtherNodes(route) ? ipv6RouteMtu : undefined);
      const value = routeWrite({ ...route, gw: gatewayOf(route, addressing.ips), mtu }, ifindex);
      return { message: 'newRoute', flags: k.NLM_F_CREATE, value };
    }),
  ];
}

/**
 * Asks for the gateways, by a broadcast which everybody on the bridge learns from who has the address now: other pods may still
 * know its last holder's MAC, and would go on for seconds. With many pods the kernel takes a millisecond to tell them all. What
 * the pod has learnt is forgotten: a node's namespaces share one table of neighbours, of 1024 entries. Not so of a gateway that is
 * not the bridge, which answers at once: what the pod itself sends meanwhile may wait for that answer.
 */
export function announcements(
  { isGateway }: BridgeOptions,
  ips: readonly PlannedAddress[],
  ndm_ifindex: number,
): Request[] {
  const about = { ndm_family: k.AF_INET, ndm_ifindex };
  return ips.flatMap(({ gateway: NDA_DST }) => {
    if (NDA_DST === undefined || familyOf(NDA_DST) === 6) return [];
    const used = newNeighbour({ ...about, NDA_DST, ndm_flags: k.NTF_USE }, k.NLM_F_CREATE);
    return isGateway ? [used, delNeighbour({ ...about, NDA_DST })] : [used];
  });
}

/** Makes what the kernel did not make, as it would have, and leaves it to the kernel from now on (net/ipv6/addrconf.c). */
export const linkLocal = (mac: Mac, ifindex: number): Request[] => [
  newAddress({
    ifa_family: k.AF_INET6,
    ifa_prefixlen: 64,
    ifa_index: ifindex,
    IFA_ADDRESS: linkLocalAddress(mac),
    IFA_PROTO: k.IFAPROT_KERNEL_LL,
  }),
  setLink({
    ifi_index: ifindex,
    IFLA_AF_SPEC: { AF_INET6: { IFLA_INET6_ADDR_GEN_MODE: k.IN6_ADDR_GEN_MODE_EUI64 } },
  }),
];

/** The device that carries IPv6 between nodes may take less than the pod's MTU; the way out of the cluster does not use it. */
const isToOtherNodes = ({ dst }: PlannedRoute): boolean => prefixFamily(dst) === 6 && !isDefaultRoute(dst);

function routeWrite(
  { dst, gw, mtu, advmss, priority, table, scope }: PlannedRoute,
  ifindex: number,
): RouteWrite {
  const inHeader = table === undefined || table < 256;
  const metrics = { ...(mtu && { RTAX_MTU: mtu }), ...(advmss && { RTAX_ADVMSS: advmss }) };
  return {
    rtm_family: prefixFamily(dst) === 4 ? k.AF_INET : k.AF_INET6,
    rtm_dst_len: prefixLength(dst),
    rtm_table: inHeader ? (table ?? k.RT_TABLE_MAIN) : k.RT_TABLE_UNSPEC,
    rtm_protocol: k.RTPROT_BOOT,
    rtm_scope: scope ?? k.RT_SCOPE_UNIVERSE,
    rtm_type: k.RTN_UNICAST,
    ...(!isDefaultRoute(dst) && { RTA_DST: prefixAddress(dst) }),
    ...(gw && { RTA_GATEWAY: gw }),
    RTA_OIF: ifindex,
    ...(priority && { RTA_PRIORITY: priority }),
    ...(!inHeader && { RTA_TABLE: table }),
    ...(Object.keys(metrics).length > 0 && { RTA_METRICS: metrics }),
  };
}
