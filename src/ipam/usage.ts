import type { Family } from '../net/address.ts';
import type { Occupancy } from './occupancy.ts';
import type { Range } from './range.ts';
import type { RangeSet } from './range-set.ts';

/** How full a range set is. Above 2^53 addresses the numbers are rounded. */
export interface Usage {
  readonly used: number;
  readonly free: number;
  readonly total: number;
}

/** Gateways do not count: they cannot be handed out. */
export function usageOf(set: RangeSet, occupancy: Readonly<Record<Family, Occupancy>>): Usage {
  let used = 0;
  let total = 0;
  for (const range of set) {
    for (const [first, last] of withoutGateway(range)) {
      used += occupancy[range.family].count(first, last);
      total += Number(last - first + 1n);
    }
  }
  return { used, free: total - used, total };
}

function withoutGateway({ first, last, gatewayInteger }: Range): [bigint, bigint][] {
  if (gatewayInteger < first || gatewayInteger > last) return [[first, last]];
  return [
    [first, gatewayInteger - 1n],
    [gatewayInteger + 1n, last],
  ];
}
