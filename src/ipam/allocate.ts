import type { Address, Family } from '../net/address.ts';
import { type Prefix, prefixLength, prefixOf } from '../net/prefix.ts';
import type { Owner } from './entry.ts';
import { IpamError } from './error.ts';
import type { Occupancy } from './occupancy.ts';
import type { Range } from './range.ts';
import { describeRangeSet, type RangeSet, rangeFor } from './range-set.ts';
import { nextAddress } from './round-robin.ts';

/** An address that was handed out, with its subnet's length, and the gateway of its range. */
export interface Allocation {
  readonly address: Prefix;
  readonly gateway: Address;
}

/** What is reserved, as handing out sees it. */
export interface Ledger {
  readonly occupancy: Readonly<Record<Family, Occupancy>>;
  lastReserved(set: number): Address | undefined;
  /** False when the address turned out to be taken; then it counts as taken from now on. */
  reserve(address: Address, owner: Owner): boolean;
  /** Keeps where set number `set` goes on. */
  setLastReserved(set: number, address: Address): void;
  free(address: Address): void;
  /** The addresses that the owner holds, those of its container alone included. */
  heldBy(owner: Owner): Address[];
}

/**
 * Hands out one address of each set, all or none. A requested address goes to the set that contains it;
 * each must find its set. Throws an {@link IpamError} in host-local's words.
 */
export function allocate(
  ledger: Ledger,
  sets: readonly RangeSet[],
  owner: Owner,
  requested: readonly Address[],
): Allocation[] {
  const wanted = new Set(requested);
  const taken: { address: Address; range: Range }[] = [];
  try {
    for (const [index, set] of sets.entries()) {
      const asked = [...wanted].find((address) => rangeFor(set, address) !== undefined);
      if (asked !== undefined) wanted.delete(asked);
      taken.push(takeNumbered(ledger, set, index, owner, asked));
    }
    if (wanted.size > 0) {
      throw new IpamError('REQUESTED', `failed to allocate all requested IPs: ${[...wanted].join(' ')}`);
    }
  } catch (error) {
    for (const { address } of taken) tryFree(ledger, address);
    throw error;
  }
  return taken.map(({ address, range }) => ({
    address: prefixOf(address, prefixLength(range.subnet)),
    gateway: range.gateway,
  }));
}

function takeNumbered(
  ledger: Ledger,
  set: RangeSet,
  index: number,
  owner: Owner,
  asked: Address | undefined,
): { address: Address; range: Range } {
  try {
    const taken =
      asked === undefined ? takeNext(ledger, set, index, owner) : takeRequested(ledger, set, owner, asked);
    try {
      ledger.setLastReserved(index, taken.address);
    } catch (error) {
      tryFree(ledger, taken.address);
      throw error;
    }
    return taken;
  } catch (error) {
    if (!(error instanceof IpamError)) throw error;
    throw new IpamError(error.code, `failed to allocate for range ${index}: ${error.message}`, {
      cause: error,
    });
  }
}

function takeRequested(ledger: Ledger, set: RangeSet, owner: Owner, address: Address) {
  const range = rangeFor(set, address);
  if (range === undefined) {
    throw new IpamError('REQUESTED', `${address} not in range set ${describeRangeSet(set)}`);
  }
  if (address === range.gateway) {
    throw new IpamError('REQUESTED', `requested ip ${address} is subnet's gateway`);
  }
  if (!ledger.reserve(address, owner)) {
    const where = describeRangeSet(set);
    throw new IpamError(
      'REQUESTED',
      `requested IP address ${address} is not available in range set ${where}`,
    );
  }
  return { address, range };
}

function takeNext(ledger: Ledger, set: RangeSet, index: number, owner: Owner) {
  const held = ledger.heldBy(owner).find((address) => rangeFor(set, address) !== undefined);
  if (held !== undefined) {
    throw new IpamError(
      'DUPLICATE',
      `${held} has been allocated to ${owner.containerID}, duplicate allocation is not allowed`,
    );
  }
  const occupancy = ledger.occupancy[set[0]?.family ?? 4];
  const lastReserved = ledger.lastReserved(index);
  for (;;) {
    const next = nextAddress(set, lastReserved, occupancy);
    if (next === undefined) {
      throw new IpamError('EXHAUSTED', `no IP addresses available in range set: ${describeRangeSet(set)}`);
    }
    if (ledger.reserve(next.address, owner)) return next;
  }
}

/** What cannot be freed while another error is on its way is left to the sweep: that error matters more. */
function tryFree(ledger: Ledger, address: Address): void {
  try {
    ledger.free(address);
  } catch (error) {
    if (!(error instanceof IpamError)) throw error;
  }
}
