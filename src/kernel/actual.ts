import type { Mac } from '../net/mac.ts';
import type { Endpoint } from '../wireguard/endpoint.ts';
import type {
  FdbEntry,
  LinkAddress,
  LinkInfo,
  Neighbour,
  Nexthop,
  Route,
  WireguardDevice,
  WireguardPeer,
} from './object.ts';

/** What the kernel has. It can hold more than what we would ever ask for, so this says more than a KernelObject. */
export type ActualObject =
  | ActualLink
  | LinkAddress
  | ActualRoute
  | Neighbour
  | ActualFdbEntry
  | Nexthop
  | WireguardDevice
  | ActualWireguardPeer;

export interface ActualLink {
  readonly kind: 'link';
  readonly name: string;
  readonly mtu: number;
  readonly mac: Mac | undefined;
  readonly up: boolean;
  readonly info: LinkInfo | OtherKind;
}

/** A kind of link that we never make; `is` is IFLA_INFO_KIND, empty for hardware. */
export interface OtherKind {
  readonly kind: 'other';
  readonly is: string;
}

/** What an object has that no desired one has: it never fits. */
export interface Odd {
  /** For people: `unreachable`, `src 10.0.0.1`. */
  readonly odd?: string;
}

export type ActualRoute = Route & Odd;
export type ActualFdbEntry = FdbEntry & Odd;

/** A peer whose endpoint may have moved to where its packets came from. */
export interface ActualWireguardPeer extends WireguardPeer {
  /** The endpoint that it has moved from, which it does as well as: see {@link file://./tunnels.ts}. */
  readonly movedFrom?: Endpoint | 'any';
}
