import { ourProtocol } from '../../kernel/object.ts';
import { type Address, addressBits, type Family, familyOf, isLinkLocalUnicast } from '../../net/address.ts';
import { networkOf, prefixOf } from '../../net/prefix.ts';
import * as k from '../../netlink/constants.ts';
import { isNetlinkError } from '../../netlink/error.ts';
import { type AddressMessage, getAddresses } from '../../netlink/route/address.ts';
import { getLink } from '../../netlink/route/link.ts';
import { getRoutes, type RouteMessage } from '../../netlink/route/route.ts';
import type { SyncSession } from '../../netlink/session.ts';
import type { DefaultRoute, Host, HostAddress } from './interface.ts';
import type { NodeRange } from '../validation/finding.ts';

/**
 * The host's links, addresses and default routes, as the kernel lists them, and its way to `target`. Throws a
 * NetlinkError.
 */
export function observeHost(session: SyncSession, target?: Address): Host {
  const links = session.dump(getLink()).map((link) => ({
    index: link.ifi_index,
    name: link.IFLA_IFNAME ?? '',
    mtu: link.IFLA_MTU ?? 0,
    loopback: (link.ifi_flags & k.IFF_LOOPBACK) !== 0,
  }));
  const addresses = session.dump(getAddresses()).flatMap(addressOf);
  const defaultRoutes = ([4, 6] as const).flatMap((family) => {
    const routes = mainRoutes(session, family === 4 ? k.AF_INET : k.AF_INET6);
    return routes.flatMap((route) => defaultRoute(family, route));
  });
  const reached = target && wayTo(session, target);
  return { links, addresses, defaultRoutes, ...(reached && { reached }) };
}

/** What the kernel answers to RTM_GETROUTE: the interface, and the source that it would take. */
function wayTo(session: SyncSession, target: Address): Host['reached'] {
  const [rtm_family, rtm_dst_len] = familyOf(target) === 4 ? [k.AF_INET, 32] : [k.AF_INET6, 128];
  try {
    const [route] = session.request(getRoutes({ rtm_family, rtm_dst_len, RTA_DST: target }));
    if (route?.RTA_OIF === undefined) return undefined;
    return { link: route.RTA_OIF, ...(route.RTA_PREFSRC && { source: route.RTA_PREFSRC }) };
  } catch (error) {
    // No route, or one that says so: ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL.
    if (isNetlinkError(error)) return undefined;
    throw error;
  }
}

/**
 * The networks that the node is in, and the destinations of its other routes: without the default routes, single addresses and
 * what flannel has made. Throws a NetlinkError.
 */
export function observeNodeRanges(session: SyncSession): NodeRange[] {
  const links = new Map(session.dump(getLink()).map((link) => [link.ifi_index, link]));
  const nameOf = (index = 0) => links.get(index)?.IFLA_IFNAME ?? '';
  const isLoopback = (index: number) => ((links.get(index)?.ifi_flags ?? 0) & k.IFF_LOOPBACK) !== 0;
  const networks = session.dump(getAddresses()).flatMap((message): NodeRange[] => {
    const [own] = addressOf(message);
    const length = message.ifa_prefixlen;
    if (own === undefined || isLoopback(own.link) || isLinkLocalUnicast(own.address)) return [];
    if (length === addressBits(familyOf(own.address))) return [];
    const range = networkOf(prefixOf(message.IFA_ADDRESS ?? own.address, length));
    return [{ range, link: nameOf(own.link), address: own.address }];
  });
  const families = [k.AF_INET, k.AF_INET6];
  const routes = families
    .flatMap((family) => mainRoutes(session, family))
    .flatMap((route): NodeRange[] => {
      const { RTA_DST: destination, rtm_dst_len: length, rtm_protocol: protocol } = route;
      if (destination === undefined || isLinkLocalUnicast(destination)) return [];
      if (route.rtm_type !== k.RTN_UNICAST || length === addressBits(familyOf(destination))) return [];
      // The kernel's own are those of the networks; boot's may be Go flannel's.
      if ([k.RTPROT_KERNEL, k.RTPROT_BOOT, ourProtocol].includes(protocol)) return [];
      const index = route.RTA_OIF ?? route.RTA_MULTIPATH?.[0]?.rtnh_ifindex;
      return [{ range: networkOf(prefixOf(destination, length)), link: nameOf(index) }];
    });
  return [...networks, ...routes];
}

/** The routes of the main table; a namespace that never had one has no such table. Throws a NetlinkError. */
export function mainRoutes(session: Pick<SyncSession, 'dump'>, rtm_family: number): RouteMessage[] {
  try {
    return session.dump(getRoutes({ rtm_family, rtm_table: k.RT_TABLE_MAIN }));
  } catch (error) {
    if (isNetlinkError(error, 'ENOENT')) return [];
    throw error;
  }
}

function addressOf(message: AddressMessage): HostAddress[] {
  // Across a point-to-point link IFA_ADDRESS is the other end.
  const address = message.IFA_LOCAL ?? message.IFA_ADDRESS;
  if (address === undefined) return [];
  return [{ link: message.ifa_index, address, flags: message.IFA_FLAGS ?? message.ifa_flags }];
}

function defaultRoute(family: Family, route: RouteMessage): DefaultRoute[] {
  const table = route.RTA_TABLE ?? route.rtm_table;
  if (route.rtm_dst_len !== 0 || route.rtm_type !== k.RTN_UNICAST || table !== k.RT_TABLE_MAIN) return [];
  const link = route.RTA_OIF ?? route.RTA_MULTIPATH?.[0]?.rtnh_ifindex;
  return link === undefined ? [] : [{ family, link }];
}
