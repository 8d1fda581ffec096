import { type Address, addressFromInteger, addressToInteger } from '../net/address.ts';
import type { Occupancy } from './occupancy.ts';
import type { Range } from './range.ts';
import { type RangeSet, rangeFor } from './range-set.ts';

/**
 * The address that host-local would hand out: the first free one after the last reserved, through the
 * ranges in order and around, the last reserved itself at the very end. Without a last reserved address
 * of this set it begins at the first range's start. Gateways are left out, each in its own range.
 */
export function nextAddress(
  set: RangeSet,
  lastReserved: Address | undefined,
  occupancy: Occupancy,
): { address: Address; range: Range } | undefined {
  for (const { range, first, last } of segments(set, lastReserved)) {
    let free = occupancy.nextFree(first, last);
    if (free === range.gatewayInteger) free = occupancy.nextFree(free + 1n, last);
    if (free !== undefined) return { address: addressFromInteger(free, range.family), range };
  }
  return undefined;
}

interface Segment {
  readonly range: Range;
  readonly first: bigint;
  readonly last: bigint;
}

function segments(set: RangeSet, lastReserved: Address | undefined): Segment[] {
  const whole = (range: Range): Segment => ({ range, first: range.first, last: range.last });
  const range = lastReserved === undefined ? undefined : rangeFor(set, lastReserved);
  if (lastReserved === undefined || range === undefined) return set.map(whole);
  const at = set.indexOf(range);
  const pointer = addressToInteger(lastReserved);
  return [
    { range, first: pointer + 1n, last: range.last },
    ...set.slice(at + 1).map(whole),
    ...set.slice(0, at).map(whole),
    { range, first: range.first, last: pointer },
  ];
}
