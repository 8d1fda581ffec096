import * as k from '../netlink/constants.ts';
import { isNetlinkError } from '../netlink/error.ts';
import { getAddresses } from '../netlink/route/address.ts';
import { getLink } from '../netlink/route/link.ts';
import { getNeighbours } from '../netlink/route/neighbour.ts';
import { getNexthops, type NexthopMessage } from '../netlink/route/nexthop.ts';
import { getRoutes, type RouteMessage } from '../netlink/route/route.ts';
import type { AsyncSession } from '../netlink/session.ts';
import { linkKey } from './diff.ts';
import type { Mirror } from './mirror.ts';
import type { ObjectKey } from './object.ts';
import { addressFrom, fdbFrom, neighbourFrom, nexthopFrom, routeFrom } from './observe.ts';
import { isTunnel, type Tunnels } from './tunnels.ts';

/** Reads everything that is relevant into an empty mirror. Throws a NetlinkError when the kernel does not tell. */
export async function survey(
  session: Pick<AsyncSession, 'dump'>,
  mirror: Mirror,
  ourLinks: ReadonlySet<string>,
  tunnels?: Tunnels,
): Promise<void> {
  const links = await session.dump(getLink());
  // A link names its lower one by index, which may come later in the list.
  for (const { ifi_index, IFLA_IFNAME } of links) mirror.names.set(ifi_index, IFLA_IFNAME ?? '');
  for (const link of links) mirror.addLink(link);
  for (const name of ourLinks) {
    const index = mirror.names.indexOf(name);
    if (index !== undefined && mirror.objects.has(linkKey(name)))
      await surveyLink(session, mirror, name, index);
  }
  for (const message of await nexthops(session)) {
    const nexthop = nexthopFrom(message, mirror.names);
    if (nexthop !== undefined) mirror.add(nexthop);
  }
  if (tunnels !== undefined) await surveyTunnels(tunnels, mirror, ourLinks);
  for (const rtm_family of [k.AF_INET, k.AF_INET6]) {
    for (const message of await mainRoutes(session, rtm_family)) {
      const route = routeFrom(message, mirror.names);
      if (route !== undefined) mirror.add(route);
    }
  }
}

/** Linux before 5.3 has none. */
async function nexthops(session: Pick<AsyncSession, 'dump'>): Promise<NexthopMessage[]> {
  try {
    return await session.dump(getNexthops());
  } catch (error) {
    if (isNetlinkError(error, 'EOPNOTSUPP')) return [];
    throw error;
  }
}

/** A namespace that never had a route has no main table. */
async function mainRoutes(session: Pick<AsyncSession, 'dump'>, rtm_family: number): Promise<RouteMessage[]> {
  try {
    return await session.dump(getRoutes({ rtm_family, rtm_table: k.RT_TABLE_MAIN }));
  } catch (error) {
    if (isNetlinkError(error, 'ENOENT')) return [];
    throw error;
  }
}

async function surveyLink(
  session: Pick<AsyncSession, 'dump'>,
  mirror: Mirror,
  name: string,
  index: number,
): Promise<void> {
  for (const message of await session.dump(getAddresses({ ifa_index: index }))) {
    const address = addressFrom(message, name);
    if (address !== undefined) mirror.add(address);
  }
  for (const message of await session.dump(getNeighbours({ NDA_IFINDEX: index }))) {
    const neighbour = neighbourFrom(message, name);
    if (neighbour !== undefined) mirror.add(neighbour);
  }
  const fdb = getNeighbours({ ndm_family: k.AF_BRIDGE, ndm_ifindex: index });
  for (const message of await session.dump(fdb)) {
    const entry = fdbFrom(message, name);
    if (entry !== undefined) mirror.add(entry);
  }
}

/** Reads what our WireGuard devices hold, of which nobody tells, and answers the keys of what is new in it. */
export async function surveyTunnels(
  tunnels: Tunnels,
  mirror: Mirror,
  ourLinks: ReadonlySet<string>,
): Promise<ObjectKey[]> {
  const changed: ObjectKey[] = [];
  for (const name of ourLinks) {
    const [link] = mirror.objects.get(linkKey(name)) ?? [];
    if (link?.kind !== 'link' || !isTunnel(link)) continue;
    const objects = await tunnels.read(name);
    if (objects !== undefined) changed.push(...mirror.takeTunnel(name, objects));
    else {
      // It is gone, or it is another program's TUN device.
      mirror.put(linkKey(name), [{ ...link, info: { kind: 'other', is: 'tun' } }]);
      changed.push(linkKey(name));
    }
  }
  return changed;
}
