import { type Address, addressBits, addressFromInteger, addressToInteger, familyOf } from '../net/address.ts';
import { type Prefix, prefixFamily, prefixOf, prefixRange } from '../net/prefix.ts';

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
  const size = sizeOf(range);
  const last = addressToInteger(range.max);
  const spans = [...taken]
    .filter((prefix) => prefixFamily(prefix) === family)
    .map(prefixRange)
    .toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  let candidate = addressToInteger(range.min);
  for (const span of spans) {
    if (span.last < candidate) continue;
    if (span.first >= candidate + size) break;
    // The next subnet that begins behind what is taken.
    candidate += ((span.last - candidate) / size + 1n) * size;
  }
  return candidate > last ? undefined : prefixOf(addressFromInteger(candidate, family), range.length);
}

/** Whether `subnet` is one of the range's. */
export function isInRange(range: SubnetRange, subnet: Prefix): boolean {
  if (prefixFamily(subnet) !== familyOf(range.min)) return false;
  const { first, last } = prefixRange(subnet);
  const [min, max] = [addressToInteger(range.min), addressToInteger(range.max)];
  const size = sizeOf(range);
  return last - first + 1n === size && first >= min && first <= max && (first - min) % size === 0n;
}

const sizeOf = ({ min, length }: SubnetRange): bigint => 1n << BigInt(addressBits(familyOf(min)) - length);
