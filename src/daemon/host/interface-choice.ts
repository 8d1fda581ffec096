import { type Address, type Family, familyOf } from '../../net/address.ts';
import { containsAddress } from '../../net/prefix.ts';
import {
  type ExternalInterface,
  type Host,
  InterfaceError,
  type InterfaceWish,
  usableAddresses,
} from './interface.ts';
import { type Named, type Way, waysOf } from './interface-ways.ts';

/**
 * Chooses as Go flannel does: the first of `iface` that fits, of `ifaceRegex`, `ifaceCanReach`; without those the interface that
 * has the node's or the public address; without that the interface of the default routes. Throws an {@link InterfaceError}.
 */
export function chooseInterface(everything: Host, asked: InterfaceWish): ExternalInterface {
  const { families } = asked;
  const publicIP = families.includes(4) ? asked.publicIP : undefined;
  const publicIPv6 = families.includes(6) ? asked.publicIPv6 : undefined;
  const wish = { ...asked, publicIP, publicIPv6 };
  const isPods = (address: Address) => wish.networks.some((network) => containsAddress(network, address));
  const host = { ...everything, addresses: everything.addresses.filter(({ address }) => !isPods(address)) };
  const found = firstThatFits(host, waysOf(host, wish), wish);
  return {
    ...found,
    ...(found.address && { publicIP: publicIP ?? found.address }),
    ...(found.ipv6Address && { publicIPv6: publicIPv6 ?? found.ipv6Address }),
  };
}

function firstThatFits(host: Host, ways: readonly Way[], wish: InterfaceWish): ExternalInterface {
  const reasons: string[] = [];
  for (const { source, find } of ways) {
    try {
      return withAddresses(host, find(), wish);
    } catch (error) {
      if (!(error instanceof InterfaceError)) throw error;
      reasons.push(`${source}: ${error.message}`);
    }
  }
  throw new InterfaceError(
    `no interface for the traffic between nodes: ${reasons.join('; ')}. Name one by --iface. There are: ${listed(host)}`,
  );
}

function withAddresses(
  host: Host,
  { link, literals }: Named,
  { families, nodeIPs }: InterfaceWish,
): ExternalInterface {
  if (link.loopback)
    throw new InterfaceError(`${link.name} is the loopback interface, it leads to no other node`);
  if (link.mtu === 0) throw new InterfaceError(`${link.name} has no MTU`);
  const own = (family: Family): Address => {
    const usable = usableAddresses(host, link, family);
    const address =
      literals.find((literal) => familyOf(literal) === family) ??
      nodeIPs.find((nodeIP) => usable.includes(nodeIP)) ??
      usable[0];
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

function listed(host: Host): string {
  const shown = host.links.map(({ index, name }) => {
    const addresses = host.addresses.filter(({ link }) => link === index).map(({ address }) => address);
    return `${name} (${addresses.length === 0 ? 'no address' : addresses.join(', ')})`;
  });
  return shown.length === 0 ? 'none' : shown.join(', ');
}
