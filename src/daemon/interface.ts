import {
  type Address,
  type Family,
  familyOf,
  isGlobalUnicast,
  isLinkLocalUnicast,
  parseAddress,
} from '../net/address.ts';
import { IFA_F_DEPRECATED, IFA_F_PERMANENT } from '../netlink/constants.ts';

/** Shared by IPv4's secondary and IPv6's temporary addresses (linux/if_addr.h). */
const IFA_F_TEMPORARY = 0x01;

export interface HostLink {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
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
}

export interface InterfaceWish {
  /** The families of the network; at least one. */
  readonly families: readonly Family[];
  /** Names or addresses; the first that exists is taken. */
  readonly iface: readonly string[];
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
 * Chooses as Go flannel does: the first of `iface` that fits; without it the interface that has the public
 * address; without that the interface of the default routes. Throws an {@link InterfaceError}.
 */
export function chooseInterface(host: Host, wish: InterfaceWish): ExternalInterface {
  const { families } = wish;
  const publicIP = families.includes(4) ? wish.publicIP : undefined;
  const publicIPv6 = families.includes(6) ? wish.publicIPv6 : undefined;
  const publicAddress = publicIP ?? publicIPv6;
  const ways: Way[] = wish.iface.map((name) => ({
    source: `--iface=${name}`,
    find: () => named(host, wish, name),
  }));
  if (ways.length === 0 && publicAddress !== undefined) {
    const source = publicAddress === publicIP ? '--public-ip' : '--public-ipv6';
    ways.push({ source: `${source}=${publicAddress}`, find: () => named(host, wish, publicAddress) });
  }
  if (ways.length === 0) ways.push({ source: 'default route', find: () => byDefaultRoute(host, families) });
  const found = firstThatFits(host, ways, families);
  return {
    ...found,
    ...(found.address && { publicIP: publicIP ?? found.address }),
    ...(found.ipv6Address && { publicIPv6: publicIPv6 ?? found.ipv6Address }),
  };
}

interface Way {
  readonly source: string;
  readonly find: () => Named;
}

interface Named {
  readonly link: HostLink;
  /** The addresses by which it was asked for. */
  readonly literals: readonly Address[];
}

function firstThatFits(host: Host, ways: readonly Way[], families: readonly Family[]): ExternalInterface {
  const reasons: string[] = [];
  for (const { source, find } of ways) {
    try {
      return withAddresses(host, find(), families);
    } catch (error) {
      if (!(error instanceof InterfaceError)) throw error;
      reasons.push(`${source}: ${error.message}`);
    }
  }
  throw new InterfaceError(
    `no interface for the traffic between nodes: ${reasons.join('; ')}. Name one by --iface. There are: ${listed(host)}`,
  );
}

/** By name or by one of its addresses; in dual stack the public IPv6 address must be on the same interface as the latter. */
function named(host: Host, { families, publicIPv6 }: InterfaceWish, name: string): Named {
  const literal = parseAddress(name);
  if (literal === undefined) {
    const link = host.links.find((candidate) => candidate.name === name);
    if (link === undefined) throw new InterfaceError('there is no such interface');
    return { link, literals: [] };
  }
  if (!families.includes(familyOf(literal))) {
    throw new InterfaceError(`the network has no IPv${familyOf(literal)}`);
  }
  const link = ownerOf(host, literal);
  if (families.length < 2 || publicIPv6 === undefined) return { link, literals: [literal] };
  const other = ownerOf(host, publicIPv6);
  if (other.index !== link.index) {
    throw new InterfaceError(`it is on ${link.name}, but --public-ipv6=${publicIPv6} on ${other.name}`);
  }
  return { link, literals: [literal, publicIPv6] };
}

function ownerOf(host: Host, wanted: Address): HostLink {
  const owner = host.addresses.find(({ address }) => address === wanted);
  const link = host.links.find(({ index }) => index === owner?.link);
  if (link === undefined) throw new InterfaceError(`no interface has the address ${wanted}`);
  return link;
}

function byDefaultRoute(host: Host, families: readonly Family[]): Named {
  const links = families.map((family) => {
    const route = host.defaultRoutes.find((candidate) => candidate.family === family);
    const link = host.links.find(({ index }) => index === route?.link);
    if (link === undefined) throw new InterfaceError(`there is no IPv${family} default route`);
    return link;
  });
  const [first, second = first] = links;
  if (first === undefined || second === undefined) throw new InterfaceError('the network has no family');
  if (first.index !== second.index) {
    throw new InterfaceError(
      `IPv4's is on ${first.name}, IPv6's on ${second.name}; it must be one interface`,
    );
  }
  return { link: first, literals: [] };
}

function withAddresses(
  host: Host,
  { link, literals }: Named,
  families: readonly Family[],
): ExternalInterface {
  if (link.mtu === 0) throw new InterfaceError(`${link.name} has no MTU`);
  const own = (family: Family): Address => {
    const literal = literals.find((candidate) => familyOf(candidate) === family);
    const address = literal ?? bestAddress(host, link, family);
    if (address === undefined)
      throw new InterfaceError(`${link.name} has no IPv${family} address that could serve`);
    return address;
  };
  return {
    link,
    ...(families.includes(4) && { address: own(4) }),
    ...(families.includes(6) && { ipv6Address: own(6) }),
  };
}

/** Global before link-local, permanent before those with a lifetime, others before temporary ones; never a deprecated one. */
function bestAddress(host: Host, link: HostLink, family: Family): Address | undefined {
  const rank = ({ address, flags }: HostAddress): number =>
    (isGlobalUnicast(address) ? 0 : 4) +
    ((flags & IFA_F_PERMANENT) !== 0 ? 0 : 2) +
    ((flags & IFA_F_TEMPORARY) === 0 ? 0 : 1);
  const usable = host.addresses.filter(
    ({ link: index, address, flags }) =>
      index === link.index &&
      familyOf(address) === family &&
      (isGlobalUnicast(address) || isLinkLocalUnicast(address)) &&
      (flags & IFA_F_DEPRECATED) === 0,
  );
  return usable.toSorted((a, b) => rank(a) - rank(b))[0]?.address;
}

function listed(host: Host): string {
  const shown = host.links.map(({ index, name }) => {
    const addresses = host.addresses.filter(({ link }) => link === index).map(({ address }) => address);
    return `${name} (${addresses.length === 0 ? 'no address' : addresses.join(', ')})`;
  });
  return shown.length === 0 ? 'none' : shown.join(', ');
}
