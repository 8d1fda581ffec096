import {
  type Address,
  type Family,
  familyOf,
  isGlobalUnicast,
  isLinkLocalUnicast,
} from '../../net/address.ts';
import type { Prefix } from '../../net/prefix.ts';
import { IFA_F_DADFAILED, IFA_F_DEPRECATED, IFA_F_PERMANENT } from '../../netlink/constants.ts';

/** Shared by IPv4's secondary and IPv6's temporary addresses (linux/if_addr.h). */
const IFA_F_TEMPORARY = 0x01;

export interface HostLink {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  readonly loopback: boolean;
}

export interface HostAddress {
  /** The index of its link. */
  readonly link: number;
  readonly address: Address;
  /** IFA_F_*. */
  readonly flags: number;
}

/** A default route of the main table. */
export interface DefaultRoute {
  readonly family: Family;
  /** The index of its link; of the first hop, if it has several. */
  readonly link: number;
}

/** What the choice is made from, everything in the kernel's order. */
export interface Host {
  readonly links: readonly HostLink[];
  readonly addresses: readonly HostAddress[];
  readonly defaultRoutes: readonly DefaultRoute[];
  /** The way to the address of `--iface-can-reach`, if there is one. */
  readonly reached?: { readonly link: number; readonly source?: Address };
}

export interface InterfaceWish {
  /** The families of the network; at least one. */
  readonly families: readonly Family[];
  /** Names or addresses; the first that exists is taken. */
  readonly iface: readonly string[];
  /** For addresses and names, in Go's syntax; looked at when no `iface` fits. */
  readonly ifaceRegex: readonly string[];
  /** What the interface must be the way to; looked at last. */
  readonly ifaceCanReach?: Address | undefined;
  /** The node's own addresses as it knows them: they choose where nothing else does, and are taken where the interface has them. */
  readonly nodeIPs: readonly Address[];
  /** The flannel network: an address in it is a pod's. */
  readonly networks: readonly Prefix[];
  readonly publicIP?: Address | undefined;
  readonly publicIPv6?: Address | undefined;
}

/** The interface for the traffic between nodes. Addresses are there for the families that were wished for. */
export interface ExternalInterface {
  readonly link: HostLink;
  /** The interface's own. */
  readonly address?: Address;
  readonly ipv6Address?: Address;
  /** At which other nodes reach this one. */
  readonly publicIP?: Address;
  readonly publicIPv6?: Address;
}

/** No interface fits: the message says why, and lists what there is. */
export class InterfaceError extends Error {
  override readonly name = 'InterfaceError';
}

/**
 * Those of a family that may serve, the best first: global before link-local, permanent before those with a lifetime, others
 * before temporary ones; never a deprecated one, nor one that another machine turned out to have.
 */
export function usableAddresses(host: Host, link: HostLink, family: Family): Address[] {
  const rank = ({ address, flags }: HostAddress): number =>
    (isGlobalUnicast(address) ? 0 : 4) +
    ((flags & IFA_F_PERMANENT) !== 0 ? 0 : 2) +
    ((flags & IFA_F_TEMPORARY) === 0 ? 0 : 1);
  const usable = host.addresses.filter(
    ({ link: index, address, flags }) =>
      index === link.index &&
      familyOf(address) === family &&
      (isGlobalUnicast(address) || isLinkLocalUnicast(address)) &&
      (flags & (IFA_F_DEPRECATED | IFA_F_DADFAILED)) === 0,
  );
  return usable.toSorted((a, b) => rank(a) - rank(b)).map(({ address }) => address);
}
