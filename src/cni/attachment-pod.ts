import { prefixAddress, prefixFamily, prefixLength } from '../net/prefix.ts';
import * as k from '../netlink/constants.ts';
import type { RouteWrite } from '../netlink/route/route.ts';
import type { AttachmentInput, PlannedRoute } from './attachment.ts';
import { addressStep } from './attachment-bridge.ts';
import { type Addressing, gatewayOf, isDefaultRoute } from './attachment-routes.ts';
import type { Step } from './attachment-step.ts';

/** Addresses come before the link is up, so that arp_notify announces them when it comes up; then the routes. */
export function podSteps(
  { options, ipv6RouteMtu }: Pick<AttachmentInput, 'options' | 'ipv6RouteMtu'>,
  addressing: Addressing,
  ifindex: number,
): Step[] {
  return [
    ...addressing.ips.map(({ address }) => addressStep(address, ifindex, options.enabledad)),
    { message: 'setLink', value: { ifi_index: ifindex, ifi_flags: k.IFF_UP, ifi_change: k.IFF_UP } },
    ...addressing.routes.map((route): Step => {
      const mtu = route.mtu ?? (isToOtherNodes(route) ? ipv6RouteMtu : undefined);
      const value = routeWrite({ ...route, gw: gatewayOf(route, addressing.ips), mtu }, ifindex);
      return { message: 'newRoute', flags: k.NLM_F_CREATE, value };
    }),
  ];
}

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
