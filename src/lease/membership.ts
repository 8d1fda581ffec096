import { type Address, addressToInteger, type Family } from '../net/address.ts';
import { type Prefix, prefix, prefixRange } from '../net/prefix.ts';
import { type Claim, claim, type Span } from './claims.ts';
import type { Lease, PodNetwork } from './lease.ts';

type Range = ReturnType<typeof prefixRange>;

/** Where no node can be reached: unspecified, loopback, multicast and beyond. */
const nobody: readonly Range[] = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3', '::/127', 'ff00::/8'].map(
  (text) => prefixRange(prefix(text)),
);

/** What a lease needs for its node to be a peer in this network, whoever else there is. */
export class Membership {
  readonly #families: readonly { family: Family; network: Prefix; range: Range }[];

  constructor({ ipv4, ipv6 }: PodNetwork) {
    this.#families = [ipv4, ipv6].flatMap((network) =>
      network === undefined
        ? []
        : [{ network, range: prefixRange(network), family: prefixRange(network).family }],
    );
  }

  /** What the lease takes for itself. What the network has no use for does not count: an IPv6 subnet in an IPv4 network, say. */
  claimOf(lease: Lease): Claim {
    const subnets = this.#families.flatMap(({ family }) => subnetOf(lease, family) ?? []);
    const addresses = this.#families.flatMap(({ family }) => addressOf(lease, family) ?? []);
    return claim(lease.id, subnets, addresses);
  }

  /** As Go flannel: a subnet and a public address in each family of the network. Undefined when there is nothing against it. */
  objection(lease: Lease, { spans }: Claim): string | undefined {
    for (const { family, network, range } of this.#families) {
      const span = spans.find((each) => each.family === family);
      const objection =
        subnetObjection(span, family, network, range) ??
        addressObjection(addressOf(lease, family), family, network, range);
      if (objection !== undefined) return objection;
    }
    return undefined;
  }
}

const subnetOf = ({ subnet, ipv6Subnet }: Lease, family: Family) => (family === 4 ? subnet : ipv6Subnet);

const addressOf = ({ attributes: { publicIP, publicIPv6 } }: Lease, family: Family) =>
  family === 4 ? publicIP : publicIPv6;

function subnetObjection(
  span: Span | undefined,
  family: Family,
  network: Prefix,
  range: Range,
): string | undefined {
  if (span === undefined) return `it has no IPv${family} subnet, which this network needs`;
  const { subnet, first, last } = span;
  if (first === range.first && last === range.last) return `its subnet ${subnet} is the whole network`;
  if (first >= range.first && last <= range.last) return undefined;
  return `its subnet ${subnet} is outside of the network ${network}`;
}

function addressObjection(
  address: Address | undefined,
  family: Family,
  network: Prefix,
  range: Range,
): string | undefined {
  if (address === undefined) return `it has no public IPv${family} address`;
  const value = addressToInteger(address);
  const lies = ({ first, last }: Range): boolean => value >= first && value <= last;
  if (nobody.some((each) => each.family === family && lies(each))) {
    return `its public address ${address} can be no node's`;
  }
  return lies(range) ? `its public address ${address} lies in the pod network ${network}` : undefined;
}
