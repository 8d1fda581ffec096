import { type Address, type Family, familyOf, parseAddress } from '../../net/address.ts';
import { containsAddress } from '../../net/prefix.ts';
import { goRegExp } from '../options/go-regexp.ts';
import {
  type Host,
  type HostLink,
  InterfaceError,
  type InterfaceWish,
  usableAddresses,
} from './interface.ts';

/** One way to find an interface, and who asks for it. */
export interface Way {
  readonly source: string;
  readonly find: () => Named;
}

export interface Named {
  readonly link: HostLink;
  /** The addresses by which it was asked for. */
  readonly literals: readonly Address[];
}

/** The ways that are asked for, in Go flannel's order; without any by the node's own addresses, the public ones, the default route. */
export function waysOf(host: Host, wish: InterfaceWish): Way[] {
  const { iface, ifaceRegex, ifaceCanReach, families } = wish;
  const asked: Way[] = [
    ...iface.map((name) => ({ source: `--iface=${name}`, find: () => named(host, wish, name) })),
    ...ifaceRegex.map((text) => ({
      source: `--iface-regex=${text}`,
      find: () => byRegex(host, families, text),
    })),
    ...(ifaceCanReach === undefined
      ? []
      : [{ source: `--iface-can-reach=${ifaceCanReach}`, find: () => byReach(host, wish, ifaceCanReach) }]),
  ];
  if (asked.length > 0) return asked;
  const nodeIP = wish.nodeIPs.find((address) => families.includes(familyOf(address)));
  if (nodeIP !== undefined) {
    return [
      { source: `--node-ip=${nodeIP}`, find: () => ({ link: ownerOf(host, nodeIP), literals: [nodeIP] }) },
    ];
  }
  const { publicIP, publicIPv6 } = wish;
  const publicAddress = publicIP ?? publicIPv6;
  if (publicAddress === undefined) {
    return [{ source: 'default route', find: () => byDefaultRoute(host, families) }];
  }
  const flag = publicAddress === publicIP ? '--public-ip' : '--public-ipv6';
  return [{ source: `${flag}=${publicAddress}`, find: () => named(host, wish, publicAddress) }];
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

/** The first interface with a matching address of each family; if there is none, the first with a matching name. */
function byRegex(host: Host, families: readonly Family[], text: string): Named {
  const expression = goRegExp(text);
  if (expression === undefined) throw new InterfaceError('it is no regular expression');
  const links = host.links.filter(({ loopback }) => !loopback);
  for (const link of links) {
    const literals = families.flatMap(
      (family) => usableAddresses(host, link, family).find((address) => expression.test(address)) ?? [],
    );
    if (literals.length === families.length) return { link, literals };
  }
  const link = links.find(({ name }) => expression.test(name));
  if (link === undefined) throw new InterfaceError('it matches neither an address nor a name');
  return { link, literals: [] };
}

/** Where the kernel would send a packet to that address, and with which source. */
function byReach({ links, reached }: Host, { networks }: InterfaceWish, target: Address): Named {
  if (networks.some((network) => containsAddress(network, target))) {
    throw new InterfaceError('it is inside of the flannel network');
  }
  if (reached === undefined) throw new InterfaceError('there is no route to it');
  const link = links.find(({ index }) => index === reached.link);
  if (link === undefined) throw new InterfaceError('the route to it names no interface');
  if (link.loopback) throw new InterfaceError('it is an address of this node itself');
  return { link, literals: reached.source === undefined ? [] : [reached.source] };
}

/** Of both families where both have one; a family without follows the other. */
function byDefaultRoute(host: Host, families: readonly Family[]): Named {
  const [first, second = first] = families.flatMap((family) => {
    const route = host.defaultRoutes.find((candidate) => candidate.family === family);
    return host.links.find(({ index }) => index === route?.link) ?? [];
  });
  if (first === undefined || second === undefined) {
    throw new InterfaceError(
      `there is no ${families.map((family) => `IPv${family}`).join(' or ')} default route`,
    );
  }
  if (first.index !== second.index) {
    throw new InterfaceError(
      `IPv4's is on ${first.name}, IPv6's on ${second.name}; it must be one interface`,
    );
  }
  return { link: first, literals: [] };
}
