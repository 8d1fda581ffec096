import { type Address, addressBits, addressFromInteger, addressToInteger, familyOf } from '../net/address.ts';
import { firstAddress, lastAddress, type Prefix, prefixFamily, prefixOf } from '../net/prefix.ts';

/** The subnets of a network that nodes may have: all of one length, from one to another. */
export interface SubnetRange {
  readonly length: number;
  /** Network addresses of the first and the last subnet. */
  readonly min: Address;
  readonly max: Address;
}

/** A free subnet: the first in order that overlaps none of `taken`. Undefined when there is none. */
export function freeSubnet(range: SubnetRange, taken: Iterable<Prefix>): Prefix | undefined {
  const family = familyOf(range.min);
  const size = 1n << BigInt(addressBits(family) - range.length);
  const spans = [...taken]
    .filter((prefix) => prefixFamily(prefix) === family)
    .map((prefix): [bigint, bigint] => [
      addressToInteger(firstAddress(prefix)),
      addressToInteger(lastAddress(prefix)),
    ])
    .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const last = addressToInteger(range.max);
  let candidate = addressToInteger(range.min);
  for (const [from, to] of spans) {
    if (to < candidate) continue;
    if (from >= candidate + size) break;
    // The next subnet that begins behind what is taken.
    candidate += ((to - candidate) / size + 1n) * size;
  }
  return candidate > last ? undefined : prefixOf(addressFromInteger(candidate, family), range.length);
}

/** Whether `subnet` is one of the range's. */
export function isInRange(range: SubnetRange, subnet: Prefix): boolean {
  if (prefixFamily(subnet) !== familyOf(range.min)) return false;
  const size = 1n << BigInt(addressBits(familyOf(range.min)) - range.length);
  const [first, last] = [addressToInteger(firstAddress(subnet)), addressToInteger(lastAddress(subnet))];
  const [min, max] = [addressToInteger(range.min), addressToInteger(range.max)];
  return last - first + 1n === size && first >= min && first <= max && (first - min) % size === 0n;
}
