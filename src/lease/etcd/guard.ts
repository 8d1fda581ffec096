import { networkOf, type Prefix, prefix, prefixAddress, prefixLength } from '../../net/prefix.ts';
import type { KeyRange, KeySpace } from './key-space.ts';
import { subnetKey, type Subnets } from './subnet-key.ts';

/** etcd takes 128 comparisons in a transaction. */
const mostRanges = 64;

/**
 * Ranges of keys that hold every lease which could overlap one with these subnets: only there nothing may come into being
 * while it is taken, so nodes that take others do not disturb each other. IPv6 subnets stand at the end of their keys, where no
 * range finds them: with one all leases count.
 */
export function guardOf(keys: KeySpace, subnets: Subnets, network: Prefix | undefined): Required<KeyRange>[] {
  const { subnet, ipv6Subnet } = subnets;
  if (subnet === undefined || ipv6Subnet !== undefined || network === undefined) return [keys.leases];
  const starts = startsWithin(subnet);
  if (starts.length > mostRanges) return [keys.leases];
  const within = starts.map((start) => ({
    key: keys.keyOf(`${start}.`),
    rangeEnd: keys.keyOf(`${start}/`), // the character behind the dot
  }));
  return [...within, ...around(subnet, network).map((outer) => rangeOf(keys, outer))];
}

/** How the addresses in a subnet begin: `10.5.1` for 10.5.1.0/24 and for 10.5.1.128/25, `10.5.4` to `10.5.7` for 10.5.4.0/22. */
function startsWithin(subnet: Prefix): string[] {
  const length = Math.min(prefixLength(subnet), 24);
  const octets = Math.ceil(length / 8);
  const parts = prefixAddress(subnet).split('.').slice(0, octets).map(Number);
  const last = parts.pop() ?? 0;
  return Array.from({ length: 2 ** (8 * octets - length) }, (_, i) => [...parts, last + i].join('.'));
}

/** The larger ones that a subnet lies in, inside of the network. */
function around(subnet: Prefix, network: Prefix): Prefix[] {
  const [longest, shortest] = [prefixLength(subnet) - 1, prefixLength(network) + 1];
  return Array.from({ length: Math.max(0, longest - shortest + 1) }, (_, i) =>
    networkOf(prefix(`${prefixAddress(subnet)}/${shortest + i}`)),
  );
}

/** The lease of a subnet, with whatever IPv6 subnet behind it. */
function rangeOf(keys: KeySpace, subnet: Prefix): Required<KeyRange> {
  const key = keys.keyOf(subnetKey({ subnet }));
  return { key, rangeEnd: `${key}'` }; // the character behind the ampersand
}
