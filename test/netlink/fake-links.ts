import { macFromBytes } from '../../src/net/mac.ts';
import * as k from '../../src/netlink/constants.ts';
import { addressMessage } from '../../src/netlink/route/address.ts';
import { type LinkMessage, type LinkWrite, link } from '../../src/netlink/route/link.ts';
import { connect } from './fake-addresses.ts';
import type { FakeKernel } from './fake-kernel.ts';
import { Refusal } from './refusal.ts';

const ENODEV = 19;
const EEXIST = 17;
const EINVAL = 22;
const EOPNOTSUPP = 95;
const upFlags = k.IFF_UP | k.IFF_RUNNING | k.IFF_LOWER_UP;

/** RTM_NEWLINK and RTM_SETLINK: creates a link, or changes one that is there. */
export function newLink(kernel: FakeKernel, value: LinkMessage, flags: number): void {
  const existing = find(kernel, value);
  if (existing === undefined) {
    if ((flags & k.NLM_F_CREATE) === 0) throw new Refusal(ENODEV);
    create(kernel, value);
    return;
  }
  if ((flags & k.NLM_F_EXCL) !== 0) throw new Refusal(EEXIST);
  change(kernel, existing, value);
  kernel.announce('NEW', 'LINK', link, existing);
}

export function getLink(kernel: FakeKernel, value: LinkMessage): LinkMessage {
  const found = find(kernel, value);
  if (found === undefined) throw new Refusal(ENODEV);
  return found;
}

export function delLink(kernel: FakeKernel, value: LinkMessage): void {
  const group = value.ifi_index === 0 && value.IFLA_IFNAME === undefined ? value.IFLA_GROUP : undefined;
  const doomed =
    group === undefined
      ? [getLink(kernel, value)]
      : [...kernel.links.values()].filter((link) => link.IFLA_GROUP === group);
  if (doomed.length === 0) throw new Refusal(ENODEV);
  if (doomed.some((link) => link.IFLA_IFNAME === 'lo')) throw new Refusal(EOPNOTSUPP);
  for (const link of doomed) remove(kernel, link);
}

function find(kernel: FakeKernel, { ifi_index, IFLA_IFNAME }: LinkMessage): LinkMessage | undefined {
  if (ifi_index > 0) return kernel.links.get(ifi_index);
  return IFLA_IFNAME === undefined ? undefined : kernel.linkNamed(IFLA_IFNAME);
}

function create(kernel: FakeKernel, value: LinkMessage): void {
  const info = value.IFLA_LINKINFO;
  if (info?.IFLA_INFO_KIND === undefined) throw new Refusal(EOPNOTSUPP, 'Unknown device type');
  if (info.IFLA_INFO_KIND === 'vxlan') refuseSecondVni(kernel, info.IFLA_INFO_DATA);
  const peer = info.IFLA_INFO_KIND === 'veth' ? info.IFLA_INFO_DATA?.VETH_INFO_PEER : undefined;
  const other = peer?.IFLA_NET_NS_FD === undefined ? kernel : kernel.namespaces.get(peer.IFLA_NET_NS_FD);
  if (other === undefined) throw new Refusal(EINVAL);
  if (peer?.IFLA_IFNAME !== undefined && other.linkNamed(peer.IFLA_IFNAME) !== undefined) {
    throw new Refusal(EEXIST);
  }
  const made = add(kernel, value, info.IFLA_INFO_KIND);
  if (info.IFLA_INFO_KIND === 'veth') join(kernel, made, other, add(other, peer ?? {}, 'veth'));
  change(kernel, made, value);
  kernel.announce('NEW', 'LINK', link, made);
}

/** A tunnel over IPv6 does not stand in the way of one over IPv4. */
function refuseSecondVni(kernel: FakeKernel, data: VxlanData): void {
  const claim = (other: VxlanData) => `${other?.IFLA_VXLAN_ID} ${other?.IFLA_VXLAN_LOCAL6 === undefined}`;
  for (const { IFLA_LINKINFO: info } of kernel.links.values()) {
    if (info?.IFLA_INFO_KIND === 'vxlan' && claim(info.IFLA_INFO_DATA) === claim(data)) {
      throw new Refusal(EEXIST, 'A VXLAN device with the specified VNI already exists');
    }
  }
}

type VxlanData = Extract<
  NonNullable<LinkMessage['IFLA_LINKINFO']>,
  { IFLA_INFO_KIND: 'vxlan' }
>['IFLA_INFO_DATA'];

function add(kernel: FakeKernel, value: LinkWrite, kind: string): LinkMessage {
  const ifi_index = (value.ifi_index ?? 0) > 0 ? (value.ifi_index ?? 0) : kernel.takeIndex();
  const data = value.IFLA_LINKINFO?.IFLA_INFO_KIND === kind ? value.IFLA_LINKINFO : { IFLA_INFO_KIND: kind };
  const made: LinkMessage = {
    ifi_family: 0,
    ifi_type: 1,
    ifi_index,
    ifi_flags: k.IFF_BROADCAST | k.IFF_MULTICAST,
    ifi_change: 0,
    IFLA_IFNAME: value.IFLA_IFNAME ?? `${kind}${ifi_index}`,
    IFLA_MTU: value.IFLA_MTU ?? 1500,
    IFLA_ADDRESS:
      value.IFLA_ADDRESS ?? macFromBytes(Uint8Array.of(2, 0, 0, 0, ifi_index >> 8, ifi_index & 0xff)),
    IFLA_OPERSTATE: k.IF_OPER_DOWN,
    IFLA_GROUP: value.IFLA_GROUP ?? 0,
    IFLA_LINKINFO: kind === 'veth' ? { IFLA_INFO_KIND: 'veth' } : data,
  };
  kernel.links.set(ifi_index, made);
  return made;
}

/** The two ends of a veth name each other by IFLA_LINK, across namespaces with IFLA_LINK_NETNSID. */
function join(kernel: FakeKernel, one: LinkMessage, other: FakeKernel, peer: LinkMessage): void {
  one.IFLA_LINK = peer.ifi_index;
  peer.IFLA_LINK = one.ifi_index;
  if (other !== kernel) {
    one.IFLA_LINK_NETNSID = 0;
    peer.IFLA_LINK_NETNSID = 0;
  }
  peers.set(one, { kernel: other, link: peer });
  peers.set(peer, { kernel, link: one });
  other.announce('NEW', 'LINK', link, peer);
}

const peers = new WeakMap<LinkMessage, { kernel: FakeKernel; link: LinkMessage }>();

function change(kernel: FakeKernel, target: LinkMessage, value: LinkMessage): void {
  const { IFLA_IFNAME, IFLA_MTU, IFLA_ADDRESS, IFLA_GROUP, IFLA_TXQLEN, IFLA_MASTER } = value;
  const taken = IFLA_IFNAME === undefined ? undefined : kernel.linkNamed(IFLA_IFNAME);
  if (taken !== undefined && taken !== target) throw new Refusal(EEXIST);
  const given = Object.entries({ IFLA_IFNAME, IFLA_MTU, IFLA_ADDRESS, IFLA_GROUP, IFLA_TXQLEN });
  Object.assign(target, Object.fromEntries(given.filter(([, attribute]) => attribute !== undefined)));
  if (IFLA_MASTER !== undefined) setMaster(kernel, target, IFLA_MASTER);
  const info = value.IFLA_LINKINFO;
  if (info?.IFLA_INFO_KIND === 'vxlan') setVxlan(target, info.IFLA_INFO_DATA);
  if (info?.IFLA_INFO_SLAVE_KIND === 'bridge') setPort(target, info.IFLA_INFO_SLAVE_DATA);
  if (value.ifi_flags !== 0 || value.ifi_change !== 0) setFlags(kernel, target, value);
}

function setMaster(kernel: FakeKernel, target: LinkMessage, master: number): void {
  if (master === 0) {
    delete target.IFLA_MASTER;
    const { IFLA_INFO_KIND, IFLA_INFO_DATA } = target.IFLA_LINKINFO ?? {};
    target.IFLA_LINKINFO = { IFLA_INFO_KIND, IFLA_INFO_DATA } as LinkMessage['IFLA_LINKINFO'];
    return;
  }
  if (kernel.links.get(master)?.IFLA_LINKINFO?.IFLA_INFO_KIND !== 'bridge') throw new Refusal(EOPNOTSUPP);
  target.IFLA_MASTER = master;
  setPort(target, { IFLA_BRPORT_STATE: k.BR_STATE_FORWARDING, IFLA_BRPORT_MODE: 0, IFLA_BRPORT_ISOLATED: 0 });
}

/** What is not given stays. */
function setVxlan(target: LinkMessage, data: VxlanData): void {
  const before = target.IFLA_LINKINFO;
  if (before?.IFLA_INFO_KIND !== 'vxlan') return;
  const given = Object.entries(data ?? {}).filter(([, attribute]) => attribute !== undefined);
  target.IFLA_LINKINFO = {
    ...before,
    IFLA_INFO_DATA: { ...before.IFLA_INFO_DATA, ...Object.fromEntries(given) },
  } as LinkMessage['IFLA_LINKINFO'];
}

function setPort(target: LinkMessage, data: object | undefined): void {
  const before = target.IFLA_LINKINFO;
  target.IFLA_LINKINFO = {
    ...before,
    IFLA_INFO_SLAVE_KIND: 'bridge',
    IFLA_INFO_SLAVE_DATA: { ...before?.IFLA_INFO_SLAVE_DATA, ...data },
  } as LinkMessage['IFLA_LINKINFO'];
}

function setFlags(kernel: FakeKernel, target: LinkMessage, { ifi_flags, ifi_change }: LinkMessage): void {
  const mask = ifi_change === 0 ? 0xffff_ffff : ifi_change;
  const wasUp = (target.ifi_flags & k.IFF_UP) !== 0;
  const isUp = (mask & k.IFF_UP) === 0 ? wasUp : (ifi_flags & k.IFF_UP) !== 0;
  const settable = mask & (k.IFF_PROMISC | k.IFF_ALLMULTI | k.IFF_NOARP | k.IFF_MULTICAST);
  const kept = (target.ifi_flags & ~settable) | (ifi_flags & settable);
  target.ifi_flags = (isUp ? kept | upFlags : kept & ~upFlags) >>> 0;
  target.IFLA_OPERSTATE = isUp ? k.IF_OPER_UP : k.IF_OPER_DOWN;
  if (wasUp && !isUp) takeDown(kernel, target.ifi_index);
  if (wasUp || !isUp) return;
  for (const address of kernel.addresses)
    if (address.ifa_index === target.ifi_index) connect(kernel, address);
}

/** As the kernel: routes and neighbours go, IPv6 addresses too, IPv4 addresses and static FDB entries stay. */
function takeDown(kernel: FakeKernel, index: number): void {
  kernel.routes = kernel.routes.filter((route) => route.RTA_OIF !== index);
  kernel.neighbours = kernel.neighbours.filter(
    (entry) => entry.ndm_ifindex !== index || entry.ndm_family === k.AF_BRIDGE,
  );
  kernel.addresses = kernel.addresses.filter(
    (address) => address.ifa_index !== index || address.ifa_family === k.AF_INET,
  );
}

function remove(kernel: FakeKernel, target: LinkMessage): void {
  if (!kernel.links.delete(target.ifi_index)) return;
  const index = target.ifi_index;
  takeDown(kernel, index);
  for (const address of kernel.addresses.filter((address) => address.ifa_index === index)) {
    kernel.announce('DEL', 'ADDR', addressMessage, address);
  }
  kernel.addresses = kernel.addresses.filter((address) => address.ifa_index !== index);
  kernel.neighbours = kernel.neighbours.filter((entry) => entry.ndm_ifindex !== index);
  for (const port of kernel.links.values()) if (port.IFLA_MASTER === index) setMaster(kernel, port, 0);
  kernel.announce('DEL', 'LINK', link, target);
  const peer = peers.get(target);
  if (peer !== undefined) remove(peer.kernel, peer.link);
}
