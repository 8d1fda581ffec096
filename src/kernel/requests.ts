import { addressBits, familyOf } from '../net/address.ts';
import { prefixAddress, prefixFamily, prefixLength } from '../net/prefix.ts';
import * as k from '../netlink/constants.ts';
import type { Request } from '../netlink/message.ts';
import { delAddress, newAddress } from '../netlink/route/address.ts';
import { delLink, type LinkWrite, newLink } from '../netlink/route/link.ts';
import { delNeighbour, type NeighbourWrite, newNeighbour } from '../netlink/route/neighbour.ts';
import { delNexthop, newNexthop, type NexthopWrite } from '../netlink/route/nexthop.ts';
import { delRoute, newRoute, type RouteWrite } from '../netlink/route/route.ts';
import type { ActualLink, ActualObject } from './actual.ts';
import { linkChanges } from './fit.ts';
import { kindOf } from './link-kinds.ts';
import type { LinkNames } from './link-names.ts';
import type { FdbEntry, KernelObject, Link, LinkAddress, Neighbour, Nexthop, Route } from './object.ts';
import type { Operation } from './operation.ts';

/** What to tell the kernel, one message after the other. Throws {@link NoSuchLink}. */
export function requestsOf(operation: Operation, names: LinkNames): Request[] {
  switch (operation.verb) {
    case 'add':
      return [create(operation.object, names, k.NLM_F_EXCL)];
    case 'replace':
      if (operation.was.kind === 'link')
        return [remove(operation.was, names), create(operation.object, names, 0)];
      return [create(operation.object, names, k.NLM_F_REPLACE)];
    case 'change':
      return [change(operation.object, operation.was, names)];
    case 'remove':
      return [remove(operation.object, names)];
  }
}

function create(object: KernelObject, names: LinkNames, how: number): Request {
  switch (object.kind) {
    case 'link':
      return newLink(linkMessage(object, names), k.NLM_F_CREATE | k.NLM_F_EXCL);
    case 'address':
      return newAddress(addressMessage(object, names), k.NLM_F_CREATE | k.NLM_F_REPLACE);
    case 'route':
      return newRoute(routeMessage(object, names), k.NLM_F_CREATE | how);
    case 'neighbour':
      return newNeighbour({ ...neighbourMessage(object, names), NDA_LLADDR: object.mac });
    case 'fdb':
      return newNeighbour(fdbMessage(object, names));
    case 'nexthop':
      return newNexthop(nexthopMessage(object, names), k.NLM_F_CREATE | how);
    case 'wireguard':
    case 'wireguardPeer':
      throw notOurs(object);
  }
}

function remove(object: ActualObject, names: LinkNames): Request {
  switch (object.kind) {
    case 'link':
      return delLink({ ifi_index: names.need(object.name) });
    case 'address':
      return delAddress(addressMessage(object, names));
    case 'route':
      return delRoute(anyScope(object.odd === undefined ? routeMessage(object, names) : routeKey(object)));
    case 'neighbour':
      return delNeighbour(neighbourMessage(object, names));
    case 'fdb':
      return delNeighbour(fdbMessage(object, names));
    case 'nexthop':
      return delNexthop(object.id);
    case 'wireguard':
    case 'wireguardPeer':
      throw notOurs(object);
  }
}

const notOurs = ({ kind }: { readonly kind: string }): TypeError =>
  new TypeError(`rtnetlink knows no ${kind}: see tunnels.ts`);

function linkMessage({ name, mtu, mac, info }: Link, names: LinkNames): LinkWrite {
  return {
    ifi_flags: k.IFF_UP,
    ifi_change: k.IFF_UP,
    IFLA_IFNAME: name,
    IFLA_MTU: mtu,
    IFLA_TXQLEN: 0,
    IFLA_ADDRESS: mac,
    IFLA_LINKINFO: kindOf(info).create(info, names),
  };
}

function change(desired: Link, was: ActualLink, names: LinkNames): Request {
  const { mtu, mac, up, info } = linkChanges(desired, was) ?? {};
  return newLink(
    {
      ifi_index: names.need(desired.name),
      ...(up === true ? { ifi_flags: k.IFF_UP, ifi_change: k.IFF_UP } : {}),
      IFLA_MTU: mtu,
      IFLA_ADDRESS: mac,
      IFLA_LINKINFO: info === undefined ? undefined : kindOf(desired.info).change(desired.info, names),
    },
    0,
  );
}

function addressMessage({ link, address }: LinkAddress, names: LinkNames) {
  const family = prefixFamily(address);
  const IFA_LOCAL = prefixAddress(address);
  return {
    ifa_family: kernelFamily(family),
    ifa_prefixlen: prefixLength(address),
    ifa_index: names.need(link),
    ifa_scope: k.RT_SCOPE_UNIVERSE,
    IFA_LOCAL,
    IFA_ADDRESS: IFA_LOCAL,
    // Usable at once. No other node can have it: it lies in this node's subnet, and the link has no neighbours to ask.
    IFA_FLAGS: family === 6 ? k.IFA_F_NODAD : undefined,
  };
}

function routeMessage(route: Route, names: LinkNames): RouteWrite {
  const { type, gateway, link, onlink, protocol, mtu, nexthop } = route;
  const toLink = type === undefined && gateway === undefined && prefixFamily(route.destination) === 4;
  return {
    ...routeKey(route),
    rtm_protocol: protocol,
    rtm_scope: toLink ? k.RT_SCOPE_LINK : k.RT_SCOPE_UNIVERSE,
    rtm_type: type === undefined ? k.RTN_UNICAST : k.RTN_BLACKHOLE,
    ...(nexthop === undefined
      ? {
          rtm_flags: onlink ? k.RTNH_F_ONLINK : 0,
          RTA_OIF: link === undefined ? undefined : names.need(link),
          RTA_GATEWAY: gateway,
        }
      : { RTA_NH_ID: nexthop }),
    RTA_METRICS: mtu === undefined ? undefined : { RTAX_MTU: mtu },
  };
}

function nexthopMessage({ id, gateway, link, onlink, protocol }: Nexthop, names: LinkNames): NexthopWrite {
  return {
    nh_family: kernelFamily(familyOf(gateway)),
    nh_protocol: protocol,
    nh_flags: onlink ? k.RTNH_F_ONLINK : 0,
    NHA_ID: id,
    NHA_OIF: names.need(link),
    NHA_GATEWAY: gateway,
  };
}

/** Whatever is there under the destination and metric. */
function routeKey({ destination, metric, protocol }: Route): RouteWrite {
  const length = prefixLength(destination);
  return {
    rtm_family: kernelFamily(prefixFamily(destination)),
    rtm_dst_len: length,
    rtm_table: k.RT_TABLE_MAIN,
    rtm_protocol: protocol,
    RTA_DST: length === 0 ? undefined : prefixAddress(destination),
    RTA_PRIORITY: metric === 0 ? undefined : metric,
  };
}

/** The scope that a route got need not be the one that it would get from us. */
const anyScope = (message: RouteWrite): RouteWrite => ({
  ...message,
  rtm_scope: k.RT_SCOPE_NOWHERE,
  rtm_flags: 0,
});

function neighbourMessage({ address, link }: Neighbour, names: LinkNames): NeighbourWrite {
  return {
    ndm_family: kernelFamily(familyOf(address)),
    ndm_ifindex: names.need(link),
    ndm_state: k.NUD_PERMANENT,
    ndm_type: k.RTN_UNICAST,
    NDA_DST: address,
  };
}

function fdbMessage({ link, mac, remote }: FdbEntry, names: LinkNames): NeighbourWrite {
  return {
    ndm_family: k.AF_BRIDGE,
    ndm_ifindex: names.need(link),
    ndm_state: k.NUD_PERMANENT,
    ndm_flags: k.NTF_SELF,
    NDA_DST: remote,
    NDA_LLADDR: mac,
  };
}

const kernelFamily = (family: 4 | 6): number => (addressBits(family) === 32 ? k.AF_INET : k.AF_INET6);
