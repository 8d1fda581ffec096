import type { Address, Family } from '../net/address.ts';
import { type Prefix, prefixRange } from '../net/prefix.ts';

/** What a lease takes for itself, in the families of the network. */
export interface Claim {
  readonly holder: string;
  readonly spans: readonly Span[];
  readonly addresses: readonly Address[];
}

export interface Span {
  readonly holder: string;
  readonly subnet: Prefix;
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
}

export function claim(holder: string, subnets: readonly Prefix[], addresses: readonly Address[]): Claim {
  const spans = subnets.map((subnet) => {
    const { family, first, last } = prefixRange(subnet);
    return { holder, subnet, family, first, last };
  });
  return { holder, addresses, spans };
}

/** Why a claim cannot stand beside another: whose, and in words. */
export interface Conflict {
  readonly holder: string;
  readonly subnet?: readonly [mine: Prefix, theirs: Prefix];
  readonly address?: Address;
}

/** Claims that do not touch each other. The cost of each call grows with the logarithm of their number. */
export class Claims {
  readonly #addresses = new Map<Address, string>();
  /** By family, in order of their addresses. */
  readonly #spans: Readonly<Record<Family, Span[]>> = { 4: [], 6: [] };

  /** The caller has seen that there is no conflict. */
  add({ holder, spans, addresses }: Claim): void {
    for (const address of addresses) this.#addresses.set(address, holder);
    for (const span of spans) {
      const held = this.#spans[span.family];
      held.splice(countUpTo(held, span.last), 0, span);
    }
  }

  delete({ spans, addresses }: Claim): void {
    for (const address of addresses) this.#addresses.delete(address);
    for (const { family, first } of spans) {
      const held = this.#spans[family];
      held.splice(countUpTo(held, first) - 1, 1);
    }
  }

  /** The first claim that this one touches. */
  conflict({ spans, addresses }: Claim): Conflict | undefined {
    for (const { family, first, last, subnet } of spans) {
      const held = this.#spans[family];
      // They lie apart, so the nearest below is the only one that can reach so far.
      const nearest = held[countUpTo(held, last) - 1];
      if (nearest !== undefined && nearest.last >= first) {
        return { holder: nearest.holder, subnet: [subnet, nearest.subnet] };
      }
    }
    for (const address of addresses) {
      const holder = this.#addresses.get(address);
      if (holder !== undefined) return { holder, address };
    }
    return undefined;
  }
}

/** How many begin at `value` or below. */
function countUpTo(held: readonly Span[], value: bigint): number {
  let low = 0;
  let high = held.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((held[middle] as Span).first <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
