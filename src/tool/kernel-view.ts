import { closeSync, openSync } from 'node:fs';
import type { Binding } from '../../native/binding.ts';
import { mainRoutes } from '../daemon/host/host.ts';
import * as k from '../netlink/constants.ts';
import { type AddressMessage, getAddresses } from '../netlink/route/address.ts';
import { getLink, type LinkMessage } from '../netlink/route/link.ts';
import { getNeighbours, type NeighbourMessage } from '../netlink/route/neighbour.ts';
import type { RouteMessage } from '../netlink/route/route.ts';
import { SyncSession } from '../netlink/session.ts';
import { openSocket } from '../netlink/socket.ts';

/** A namespace's links, addresses, routes and permanent neighbours, a line each as iproute2 would write it. */
export type KernelView = readonly string[];

/** This namespace, and the pod's as far as it can be entered. */
export function viewKernel(binding: Binding, netns: string): KernelView {
  const here = within(binding, -1, viewNamespace);
  const pod = netns === '' ? [] : inNamespace(binding, netns, viewNamespace);
  return [...here, ...pod.map((line) => `pod: ${line}`)];
}

/** The links of the pod's namespace, as far as it can be entered. */
export const linkNames = (binding: Binding, netns: string): string[] =>
  inNamespace(binding, netns, (session) => session.dump(getLink()).flatMap((link) => link.IFLA_IFNAME ?? []));

/** `+` for what is new, `-` for what is gone; each in its order. */
export function difference(before: KernelView, after: KernelView): string[] {
  const [was, is] = [new Set(before), new Set(after)];
  const gone = before.filter((line) => !is.has(line)).map((line) => `- ${line}`);
  return [...gone, ...after.filter((line) => !was.has(line)).map((line) => `+ ${line}`)];
}

/** What `look` sees there; nothing where the namespace cannot be entered. */
function inNamespace(binding: Binding, netns: string, look: (session: SyncSession) => string[]): string[] {
  let fd: number;
  try {
    fd = openSync(netns, 'r');
  } catch {
    return [];
  }
  try {
    return within(binding, fd, look);
  } catch {
    return [];
  } finally {
    closeSync(fd);
  }
}

function within(binding: Binding, netnsFd: number, look: (session: SyncSession) => string[]): string[] {
  const session = new SyncSession(openSocket(binding, { netnsFd }));
  try {
    return look(session);
  } finally {
    session.close();
  }
}

function viewNamespace(session: SyncSession): string[] {
  const links = session.dump(getLink());
  const names = new Map(links.map((link) => [link.ifi_index, link.IFLA_IFNAME ?? '']));
  const families = [k.AF_INET, k.AF_INET6];
  const routes = families.flatMap((rtm_family) => mainRoutes(session, rtm_family));
  const neighbours = [...families, k.AF_BRIDGE].flatMap((ndm_family) =>
    session.dump(getNeighbours({ ndm_family })),
  );
  return [
    ...links.map((link) => linkLine(link, names)),
    ...session.dump(getAddresses()).map((address) => addressLine(address, names)),
    ...routes.flatMap((route) => routeLine(route, names)),
    ...neighbours.flatMap((neighbour) => neighbourLine(neighbour, names)),
  ];
}

type Names = ReadonlyMap<number, string>;

function linkLine(link: LinkMessage, names: Names): string {
  const kind = link.IFLA_LINKINFO?.IFLA_INFO_KIND;
  const { IFLA_INFO_SLAVE_KIND: master, IFLA_INFO_SLAVE_DATA: port } = link.IFLA_LINKINFO ?? {};
  return [
    `link ${link.IFLA_IFNAME}`,
    ...(kind === undefined ? [] : [`type ${kind}`]),
    (link.ifi_flags & k.IFF_UP) === 0 ? 'down' : 'up',
    `mtu ${link.IFLA_MTU}`,
    ...(typeof link.IFLA_ADDRESS === 'string' ? [`mac ${link.IFLA_ADDRESS}`] : []),
    ...(link.IFLA_MASTER === undefined ? [] : [`master ${names.get(link.IFLA_MASTER)}`]),
    ...(master === 'bridge' && port?.IFLA_BRPORT_MODE === 1 ? ['hairpin'] : []),
    ...((link.ifi_flags & k.IFF_PROMISC) === 0 ? [] : ['promisc']),
  ].join(' ');
}

function addressLine(message: AddressMessage, names: Names): string {
  const address = message.IFA_LOCAL ?? message.IFA_ADDRESS;
  return `address ${address}/${message.ifa_prefixlen} dev ${names.get(message.ifa_index)}`;
}

/** Cached routes are traffic's, not configuration. */
function routeLine(route: RouteMessage, names: Names): string[] {
  const table = route.RTA_TABLE ?? route.rtm_table;
  if (table !== k.RT_TABLE_MAIN || (route.rtm_flags & k.RTM_F_CLONED) !== 0) return [];
  const destination = route.RTA_DST === undefined ? 'default' : `${route.RTA_DST}/${route.rtm_dst_len}`;
  const mtu = route.RTA_METRICS?.RTAX_MTU;
  return [
    [
      `route ${destination}`,
      ...(route.RTA_GATEWAY === undefined ? [] : [`via ${route.RTA_GATEWAY}`]),
      ...(route.RTA_OIF === undefined ? [] : [`dev ${names.get(route.RTA_OIF)}`]),
      ...((route.rtm_flags & k.RTNH_F_ONLINK) === 0 ? [] : ['onlink']),
      ...(mtu === undefined ? [] : [`mtu ${mtu}`]),
    ].join(' '),
  ];
}

function neighbourLine(message: NeighbourMessage, names: Names): string[] {
  if ((message.ndm_state & k.NUD_PERMANENT) === 0 || typeof message.NDA_LLADDR !== 'string') return [];
  const device = names.get(message.ndm_ifindex);
  if (message.ndm_family !== k.AF_BRIDGE) {
    return [`neighbour ${message.NDA_DST} mac ${message.NDA_LLADDR} dev ${device}`];
  }
  const where = message.NDA_DST === undefined ? '' : ` dst ${message.NDA_DST}`;
  return [`fdb ${message.NDA_LLADDR} dev ${device}${where}`];
}
