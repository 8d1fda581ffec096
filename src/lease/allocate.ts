import { type Address, addressBits, addressFromInteger, addressToInteger, familyOf } from '../net/address.ts';
import {
  containsPrefix,
  type Prefix,
  prefixFamily,
  prefixLength,
  prefixOf,
  prefixRange,
} from '../net/prefix.ts';

/** The subnets of a network that nodes may have: all of one length, from one to another. */
export interface SubnetRange {
  readonly length: number;
  /** Network addresses of the first and the last subnet. */
  readonly min: Address;
  readonly max: Address;
}

/** The free subnets in order: those that overlap none of `taken`. */
export function* freeSubnets(
  range: SubnetRange,
  taken: Iterable<Prefix>,
): Generator<Prefix, void, undefined> {
  const family = familyOf(range.min);
  const size = sizeOf(range);
  const last = addressToInteger(range.max);
  const spans = [...taken]
    .filter((prefix) => prefixFamily(prefix) === family)
    .map(prefixRange)
    .toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  let candidate = addressToInteger(range.min);
  let next = 0;
  while (candidate <= last) {
    const span = spans[next];
    if (span === undefined || span.first >= candidate + size) {
      yield prefixOf(addressFromInteger(candidate, family), range.length);
      candidate += size;
    } else {
      next++;
      // The next subnet that begins behind what is taken.
      if (span.last >= candidate) candidate += ((span.last - candidate) / size + 1n) * size;
    }
  }
}

/** The first of the free subnets. Undefined when there is none. */
export function freeSubnet(range: SubnetRange, taken: Iterable<Prefix>): Prefix | undefined {
  for (const subnet of freeSubnets(range, taken)) return subnet;
  return undefined;
}

/** What `subnets` take of a network: whoever claims all of it, or something beyond it, takes nothing from anybody. */
export const takenOf = (network: Prefix, subnets: readonly Prefix[]): Prefix[] =>
  subnets.filter((subnet) => containsPrefix(network, subnet) && prefixLength(subnet) > prefixLength(network));

/** Whether `subnet` is one of the range's. */
export function isInRange(range: SubnetRange, subnet: Prefix): boolean {
  if (prefixFamily(subnet) !== familyOf(range.min)) return false;
  const { first, last } = prefixRange(subnet);
  const [min, max] = [addressToInteger(range.min), addressToInteger(range.max)];
  const size = sizeOf(range);
  return last - first + 1n === size && first >= min && first <= max && (first - min) % size === 0n;
}

const sizeOf = ({ min, length }: SubnetRange): bigint => 1n << BigInt(addressBits(familyOf(min)) - length);
