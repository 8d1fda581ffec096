import type { Address } from '../net/address.ts';
import { prefixOf } from '../net/prefix.ts';
import * as k from '../netlink/constants.ts';
import type { AddressMessage } from '../netlink/route/address.ts';
import type { LinkMessage } from '../netlink/route/link.ts';
import type { NeighbourMessage } from '../netlink/route/neighbour.ts';
import type { NexthopMessage } from '../netlink/route/nexthop.ts';
import type { RouteMessage } from '../netlink/route/route.ts';
import type { ActualFdbEntry, ActualLink, ActualRoute } from './actual.ts';
import { linkKinds } from './link-kinds.ts';
import type { LinkNames } from './link-names.ts';
import type { LinkAddress, Neighbour, Nexthop } from './object.ts';

/** Messages of the kernel as values. Undefined: nothing that a node's network, as we see it, is made of. */

export function linkFrom(message: LinkMessage, names: LinkNames): ActualLink {
  return {
    kind: 'link',
    name: message.IFLA_IFNAME ?? '',
    mtu: message.IFLA_MTU ?? 0,
    mac: typeof message.IFLA_ADDRESS === 'string' ? message.IFLA_ADDRESS : undefined,
    up: (message.ifi_flags & k.IFF_UP) !== 0,
    info: infoFrom(message.IFLA_LINKINFO, names),
  };
}

function infoFrom(info: LinkMessage['IFLA_LINKINFO'], names: LinkNames): ActualLink['info'] {
  for (const kind of linkKinds) {
    const read = info && kind.read(info, names);
    if (read !== undefined) return read;
  }
  return { kind: 'other', is: info?.IFLA_INFO_KIND ?? '' };
}

export function addressFrom(message: AddressMessage, link: string): LinkAddress | undefined {
  // IFA_ADDRESS is the other end of a point-to-point link where IFA_LOCAL is there.
  const address = message.IFA_LOCAL ?? message.IFA_ADDRESS;
  if (address === undefined) return undefined;
  return { kind: 'address', link, address: prefixOf(address, message.ifa_prefixlen) };
}

/** Of the main table only. One with a TOS of its own never stands in the way of one without. */
export function routeFrom(message: RouteMessage, names: LinkNames): ActualRoute | undefined {
  const table = message.RTA_TABLE ?? message.rtm_table;
  if (table !== k.RT_TABLE_MAIN || (message.rtm_flags & k.RTM_F_CLONED) !== 0) return undefined;
  if (message.rtm_tos !== 0 || message.rtm_src_len !== 0) return undefined;
  const unspecified = (message.rtm_family === k.AF_INET ? '0.0.0.0' : '::') as Address;
  const { RTA_GATEWAY: gateway, RTA_OIF: index } = message;
  const blackhole = message.rtm_type === k.RTN_BLACKHOLE;
  // IPv6 says lo there.
  const link = index === undefined || blackhole ? undefined : names.nameOf(index);
  const mtu = message.RTA_METRICS?.RTAX_MTU;
  const odd = oddness(message);
  return {
    kind: 'route',
    destination: prefixOf(message.RTA_DST ?? unspecified, message.rtm_dst_len),
    ...(blackhole ? { type: 'blackhole' as const } : {}),
    metric: message.RTA_PRIORITY ?? 0,
    ...(gateway === undefined ? {} : { gateway }),
    ...(link === undefined ? {} : { link }),
    onlink: (message.rtm_flags & k.RTNH_F_ONLINK) !== 0,
    protocol: message.rtm_protocol,
    ...(mtu === undefined ? {} : { mtu }),
    ...(message.RTA_NH_ID === undefined ? {} : { nexthop: message.RTA_NH_ID }),
    ...(odd === '' ? {} : { odd }),
  };
}

/** Not groups, and none without a gateway. */
export function nexthopFrom(message: NexthopMessage, names: LinkNames): Nexthop | undefined {
  const { NHA_ID: id, NHA_GATEWAY: gateway, NHA_OIF: index } = message;
  if (id === undefined || gateway === undefined || index === undefined) return undefined;
  const onlink = (message.nh_flags & k.RTNH_F_ONLINK) !== 0;
  const link = names.nameOf(index) ?? '';
  return { kind: 'nexthop', id, gateway, link, onlink, protocol: message.nh_protocol };
}

const types = new Map<number, string>([
  [k.RTN_LOCAL, 'local'],
  [k.RTN_BROADCAST, 'broadcast'],
  [k.RTN_ANYCAST, 'anycast'],
  [k.RTN_MULTICAST, 'multicast'],
  [k.RTN_UNREACHABLE, 'unreachable'],
  [k.RTN_PROHIBIT, 'prohibit'],
  [k.RTN_THROW, 'throw'],
]);

function oddness(message: RouteMessage): string {
  const parts: string[] = [];
  if (message.rtm_type !== k.RTN_UNICAST && message.rtm_type !== k.RTN_BLACKHOLE) {
    parts.push(types.get(message.rtm_type) ?? `of type ${message.rtm_type}`);
  }
  if (message.RTA_PREFSRC !== undefined) parts.push(`src ${message.RTA_PREFSRC}`);
  if (message.RTA_MULTIPATH !== undefined) parts.push('over several next hops');
  if (message.RTA_VIA !== undefined) parts.push('via a gateway of another family');
  if (message.RTA_ENCAP !== undefined) parts.push('encapsulated');
  return parts.join(', ');
}

/** Permanent ones only: what the kernel has learned comes and goes. */
export function neighbourFrom(message: NeighbourMessage, link: string): Neighbour | undefined {
  const { NDA_DST: address, NDA_LLADDR: mac } = message;
  if ((message.ndm_state & k.NUD_PERMANENT) === 0 || (message.ndm_flags & k.NTF_PROXY) !== 0)
    return undefined;
  if (address === undefined || typeof mac !== 'string') return undefined;
  return { kind: 'neighbour', link, address, mac };
}

/** The link's own permanent entries with a remote; not those that it learned, nor its bridge's. */
export function fdbFrom(message: NeighbourMessage, link: string): ActualFdbEntry | undefined {
  const { NDA_DST: remote, NDA_LLADDR: mac } = message;
  if ((message.ndm_state & k.NUD_PERMANENT) === 0 || (message.ndm_flags & k.NTF_SELF) === 0) return undefined;
  if (remote === undefined || typeof mac !== 'string') return undefined;
  const parts: string[] = [];
  if (message.NDA_PORT !== undefined) parts.push(`port ${message.NDA_PORT}`);
  if (message.NDA_VNI !== undefined) parts.push(`vni ${message.NDA_VNI}`);
  if (message.NDA_IFINDEX !== undefined) parts.push(`through link ${message.NDA_IFINDEX}`);
  const entry = { kind: 'fdb', link, mac, remote } as const;
  return parts.length === 0 ? entry : { ...entry, odd: parts.join(' ') };
}
