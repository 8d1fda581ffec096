import { type Address, type Family, familyOf } from '../net/address.ts';
import * as k from '../netlink/constants.ts';
import { isNetlinkError } from '../netlink/error.ts';
import { type AddressMessage, getAddresses } from '../netlink/route/address.ts';
import { getLink } from '../netlink/route/link.ts';
import { getRoutes, type RouteMessage } from '../netlink/route/route.ts';
import type { SyncSession } from '../netlink/session.ts';
import type { DefaultRoute, Host, HostAddress } from './interface.ts';

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
