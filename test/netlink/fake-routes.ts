import { type Address, familyOf } from '../../src/net/address.ts';
import { containsAddress, prefixOf } from '../../src/net/prefix.ts';
import * as k from '../../src/netlink/constants.ts';
import { type RouteMessage, route } from '../../src/netlink/route/route.ts';
import type { FakeKernel } from './fake-kernel.ts';
import { Refusal } from './refusal.ts';

const ESRCH = 3;
const ENODEV = 19;
const EEXIST = 17;
const ENOENT = 2;
const ENETDOWN = 100;
const ENETUNREACH = 101;

export function newRoute(kernel: FakeKernel, value: RouteMessage, flags: number): void {
  refuseImpossible(kernel, value);
  const made = normalised(value);
  const existing = kernel.routes.find((other) => keyOf(other) === keyOf(made));
  if (existing !== undefined) {
    if ((flags & k.NLM_F_EXCL) !== 0) throw new Refusal(EEXIST);
    const twin = kernel.routes.some((other) => keyOf(other) === keyOf(made) && sameHop(other, made));
    if ((flags & k.NLM_F_REPLACE) === 0 && twin) throw new Refusal(EEXIST);
  } else if ((flags & k.NLM_F_CREATE) === 0) throw new Refusal(ENOENT);
  const replaced = (flags & k.NLM_F_REPLACE) === 0 ? undefined : existing;
  kernel.routes = [...kernel.routes.filter((other) => other !== replaced), made];
  kernel.announce('NEW', 'ROUTE', route, made);
}

export function delRoute(kernel: FakeKernel, value: RouteMessage): void {
  const wanted = normalised(value);
  const found = kernel.routes.find(
    (other) =>
      other.rtm_family === wanted.rtm_family &&
      other.rtm_dst_len === wanted.rtm_dst_len &&
      other.RTA_DST === wanted.RTA_DST &&
      other.RTA_TABLE === wanted.RTA_TABLE &&
      optional(value.RTA_OIF, other.RTA_OIF) &&
      optional(value.RTA_GATEWAY, other.RTA_GATEWAY) &&
      optional(value.RTA_PRIORITY, other.RTA_PRIORITY) &&
      optional(value.rtm_protocol || undefined, other.rtm_protocol) &&
      optional(value.rtm_type || undefined, other.rtm_type),
  );
  if (found === undefined) throw new Refusal(ESRCH);
  kernel.routes = kernel.routes.filter((other) => other !== found);
  kernel.announce('DEL', 'ROUTE', route, found);
}

export function dumpRoutes(kernel: FakeKernel, filter: RouteMessage): RouteMessage[] {
  const table = filter.RTA_TABLE ?? filter.rtm_table;
  return kernel.routes.filter(
    (found) =>
      optional(filter.rtm_family || undefined, found.rtm_family) &&
      optional(table || undefined, found.RTA_TABLE) &&
      optional(filter.rtm_protocol || undefined, found.rtm_protocol) &&
      optional(filter.rtm_type || undefined, found.rtm_type) &&
      optional(filter.RTA_OIF, found.RTA_OIF),
  );
}

/** The route to RTA_DST: our own address, else the longest prefix of the main table. */
export function lookUpRoute(kernel: FakeKernel, { RTA_DST: target, rtm_family }: RouteMessage): RouteMessage {
  const own = kernel.addresses.find((address) => (address.IFA_LOCAL ?? address.IFA_ADDRESS) === target);
  if (own !== undefined && target !== undefined) {
    const table = { rtm_table: k.RT_TABLE_LOCAL, RTA_TABLE: k.RT_TABLE_LOCAL };
    return { ...blank, ...table, rtm_family, rtm_type: k.RTN_LOCAL, RTA_DST: target, RTA_OIF: 1 };
  }
  const [best] = kernel.routes
    .filter((other) => other.rtm_family === rtm_family && target !== undefined && covers(other, target))
    .toSorted((a, b) => b.rtm_dst_len - a.rtm_dst_len || (a.RTA_PRIORITY ?? 0) - (b.RTA_PRIORITY ?? 0));
  if (best === undefined) throw new Refusal(ENETUNREACH);
  const source = best.RTA_PREFSRC ?? sourceOn(kernel, best);
  return {
    ...best,
    rtm_flags: k.RTM_F_CLONED,
    rtm_dst_len: rtm_family === k.AF_INET ? 32 : 128,
    RTA_DST: target,
    RTA_PREFSRC: source,
  };
}

const blank: RouteMessage = {
  rtm_family: 0,
  rtm_dst_len: 0,
  rtm_src_len: 0,
  rtm_tos: 0,
  rtm_table: k.RT_TABLE_MAIN,
  rtm_protocol: k.RTPROT_UNSPEC,
  rtm_scope: k.RT_SCOPE_UNIVERSE,
  rtm_type: k.RTN_UNICAST,
  rtm_flags: 0,
};

function refuseImpossible(kernel: FakeKernel, value: RouteMessage): void {
  if (value.RTA_OIF === undefined) {
    if (value.RTA_GATEWAY === undefined || gatewayLink(kernel, value.RTA_GATEWAY) === undefined) {
      throw new Refusal(ENETUNREACH, 'Nexthop has invalid gateway');
    }
    return;
  }
  const link = kernel.links.get(value.RTA_OIF);
  if (link === undefined) throw new Refusal(ENODEV);
  if ((link.ifi_flags & k.IFF_UP) === 0) throw new Refusal(ENETDOWN, 'Device for nexthop is not up');
  const onlink = (value.rtm_flags & k.RTNH_F_ONLINK) !== 0;
  if (value.RTA_GATEWAY !== undefined && !onlink && gatewayLink(kernel, value.RTA_GATEWAY) === undefined) {
    throw new Refusal(ENETUNREACH, 'Nexthop has invalid gateway');
  }
}

function gatewayLink(kernel: FakeKernel, gateway: Address): number | undefined {
  const connected = kernel.routes.find((other) => other.RTA_GATEWAY === undefined && covers(other, gateway));
  return connected?.RTA_OIF;
}

function covers(candidate: RouteMessage, target: Address): boolean {
  if ((candidate.rtm_family === k.AF_INET ? 4 : 6) !== familyOf(target)) return false;
  if (candidate.RTA_DST === undefined) return true;
  return containsAddress(prefixOf(candidate.RTA_DST, candidate.rtm_dst_len), target);
}

function sourceOn(kernel: FakeKernel, { rtm_family, RTA_OIF }: RouteMessage): Address | undefined {
  const found = kernel.addresses.find(
    (address) => address.ifa_index === RTA_OIF && address.ifa_family === rtm_family,
  );
  return found?.IFA_LOCAL ?? found?.IFA_ADDRESS;
}

function normalised(value: RouteMessage): RouteMessage {
  const table = value.RTA_TABLE ?? (value.rtm_table === 0 ? k.RT_TABLE_MAIN : value.rtm_table);
  const priority = value.RTA_PRIORITY ?? (value.rtm_family === k.AF_INET6 ? 1024 : undefined);
  return {
    ...value,
    rtm_table: table < 256 ? table : 252,
    rtm_type: value.rtm_type || k.RTN_UNICAST,
    RTA_TABLE: table,
    RTA_PRIORITY: priority,
  };
}

const keyOf = (value: RouteMessage): string =>
  [
    value.rtm_family,
    value.RTA_DST,
    value.rtm_dst_len,
    value.RTA_TABLE,
    value.rtm_tos,
    value.RTA_PRIORITY,
  ].join();

const sameHop = (a: RouteMessage, b: RouteMessage): boolean =>
  a.RTA_OIF === b.RTA_OIF && a.RTA_GATEWAY === b.RTA_GATEWAY;

const optional = <T>(wanted: T | undefined, found: T | undefined): boolean =>
  wanted === undefined || wanted === found;
