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

  /**
   * Undefined when there is nothing against it. A subnet and a public address in one family of the network will do: unlike in
   * Go flannel a node is a peer in the family that it has, while others already have both.
   */
  objection(lease: Lease, { spans }: Claim): string | undefined {
    const lacks: string[] = [];
    for (const { family, network, range } of this.#families) {
      const span = spans.find((each) => each.family === family);
      const address = addressOf(lease, family);
      const objection =
        (span && subnetObjection(span, network, range)) ??
        (address && addressObjection(address, family, network, range));
      if (objection !== undefined) return objection;
      if (span === undefined) lacks.push(`it has no IPv${family} subnet, which this network needs`);
      else if (address === undefined) lacks.push(`it has no public IPv${family} address`);
    }
    return lacks.length === this.#families.length ? lacks[0] : undefined;
  }
}

const subnetOf = ({ subnet, ipv6Subnet }: Lease, family: Family) => (family === 4 ? subnet : ipv6Subnet);

const addressOf = ({ attributes: { publicIP, publicIPv6 } }: Lease, family: Family) =>
  family === 4 ? publicIP : publicIPv6;

function subnetObjection({ subnet, first, last }: Span, network: Prefix, range: Range): string | undefined {
  if (first === range.first && last === range.last) return `its subnet ${subnet} is the whole network`;
  if (first >= range.first && last <= range.last) return undefined;
  return `its subnet ${subnet} is outside of the network ${network}`;
}

function addressObjection(
  address: Address,
  family: Family,
  network: Prefix,
  range: Range,
): string | undefined {
  const value = addressToInteger(address);
  const lies = ({ first, last }: Range): boolean => value >= first && value <= last;
  if (nobody.some((each) => each.family === family && lies(each))) {
    return `its public address ${address} can be no node's`;
  }
  return lies(range) ? `its public address ${address} lies in the pod network ${network}` : undefined;
}
