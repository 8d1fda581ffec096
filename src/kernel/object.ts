import type { Address } from '../net/address.ts';
import type { Mac } from '../net/mac.ts';
import type { Prefix } from '../net/prefix.ts';
import type { DeviceSettings, PeerSettings } from '../wireguard/device.ts';

/**
 * What the node's network is made of, as plain values. Links go by their names: an index means something to one
 * boot of one kernel only. Desired and actual state are both made of these, and an object is found by its key.
 */
export type KernelObject =
  | Link
  | LinkAddress
  | Route
  | Neighbour
  | FdbEntry
  | Nexthop
  | WireguardDevice
  | WireguardPeer;

/** A device of ours. It is up, always: what is desired down is not desired. */
export interface Link {
  readonly kind: 'link';
  readonly name: string;
  readonly mtu: number;
  /** Left out: whatever it has. */
  readonly mac?: Mac;
  readonly info: LinkInfo;
}

/** IFLA_INFO_KIND with what makes one device of the kind different from another. */
export type LinkInfo = VxlanInfo | IpipInfo | WireguardInfo;

/** A property that is left out is the kernel's default when the link is made, and not compared afterwards. */
export interface VxlanInfo {
  readonly kind: 'vxlan';
  readonly vni: number;
  /** The lower device. */
  readonly lower: string;
  /** The tunnel's source; its family is the tunnel's. */
  readonly local: Address;
  readonly port: number;
  readonly learning: boolean;
  readonly gbp: boolean;
}

/** An ipip device without a remote: the gateway of a route is the tunnel's other end. IPv4 in IPv4. */
export interface IpipInfo {
  readonly kind: 'ipip';
  /** The tunnel's source. */
  readonly local: Address;
}

/** How the device is set is an object of its own: rtnetlink does not know it. */
export interface WireguardInfo {
  readonly kind: 'wireguard';
  /** A TUN device that wireguard-go serves, where the kernel has no WireGuard. */
  readonly userspace: boolean;
}

export interface LinkAddress {
  readonly kind: 'address';
  readonly link: string;
  readonly address: Prefix;
}

/** A route of the main table. */
export interface Route {
  readonly kind: 'route';
  readonly destination: Prefix;
  /** RTN_BLACKHOLE: what takes it is dropped, and it has no way out. Left out: unicast. */
  readonly type?: 'blackhole';
  /** RTA_PRIORITY; IPv6's default is 1024, IPv4's 0. */
  readonly metric: number;
  readonly gateway?: Address;
  /** The device; without it, the one through which the gateway is reached. */
  readonly link?: string;
  /** RTNH_F_ONLINK: the gateway counts as a neighbour whatever the addresses say. */
  readonly onlink: boolean;
  /** RTPROT_*: 241 is ours, 3 (boot) Go flannel's. */
  readonly protocol: number;
  /** RTAX_MTU. */
  readonly mtu?: number;
  /** NHA_ID of a {@link Nexthop} that says gateway, device and onlink; what the route says of them is for people. */
  readonly nexthop?: number;
}

/** A next hop as an object of its own, which many routes are found by sooner (Linux 5.3). IPv4. */
export interface Nexthop {
  readonly kind: 'nexthop';
  /** NHA_ID. */
  readonly id: number;
  readonly gateway: Address;
  readonly link: string;
  readonly onlink: boolean;
  /** RTPROT_*. */
  readonly protocol: number;
}

/** NUD_PERMANENT. */
export interface Neighbour {
  readonly kind: 'neighbour';
  readonly link: string;
  readonly address: Address;
  readonly mac: Mac;
}

/** A vxlan device's own entry (NTF_SELF, NUD_PERMANENT): frames to `mac` go to the tunnel end `remote`. */
export interface FdbEntry {
  readonly kind: 'fdb';
  readonly link: string;
  readonly mac: Mac;
  readonly remote: Address;
}

/** What a WireGuard device is set to. It comes and goes with its link. */
export interface WireguardDevice extends DeviceSettings {
  readonly kind: 'wireguard';
  readonly link: string;
}

export interface WireguardPeer extends PeerSettings {
  readonly kind: 'wireguardPeer';
  readonly link: string;
}

/** Two objects with one key cannot be in the kernel at once; readable, because it shows in logs and in plans. */
export type ObjectKey = string & { readonly objectKey: unique symbol };

/** As much of an object as its key is made of. */
type Named =
  | Pick<Link, 'kind' | 'name'>
  | Pick<LinkAddress, 'kind' | 'link' | 'address'>
  | Pick<Route, 'kind' | 'destination' | 'metric'>
  | Pick<Neighbour, 'kind' | 'link' | 'address'>
  | Pick<FdbEntry, 'kind' | 'link' | 'mac'>
  | Pick<Nexthop, 'kind' | 'id'>
  | Pick<WireguardDevice, 'kind' | 'link'>
  | Pick<WireguardPeer, 'kind' | 'link' | 'publicKey'>;

export function keyOf(object: Named): ObjectKey {
  return textOf(object) as ObjectKey;
}

function textOf(object: Named): string {
  switch (object.kind) {
    case 'link':
      return `link ${object.name}`;
    case 'address':
      return `address ${object.address} dev ${object.link}`;
    case 'route':
      return `route ${object.destination} metric ${object.metric}`;
    case 'neighbour':
      return `neighbour ${object.address} dev ${object.link}`;
    case 'fdb':
      return `fdb ${object.mac} dev ${object.link}`;
    case 'nexthop':
      return `nexthop ${object.id}`;
    case 'wireguard':
      return `wireguard dev ${object.link}`;
    case 'wireguardPeer':
      return `wireguard peer ${object.publicKey} dev ${object.link}`;
  }
}

/** Routing protocol number of our routes, and the one that Go flannel's carry (linux/rtnetlink.h: RTPROT_BOOT). */
export const ourProtocol = 241;
export const bootProtocol = 3;
