import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { freeSubnet, isInRange } from '../../src/lease/allocate.ts';
import { address } from '../../src/net/address.ts';
import { overlaps, prefix } from '../../src/net/prefix.ts';

const range = { length: 24, min: address('10.244.1.0'), max: address('10.244.255.0') };

describe('a free subnet', () => {
  test.each([
    [[], '10.244.1.0/24'],
    [['10.244.1.0/24'], '10.244.2.0/24'],
    [['10.244.2.0/24'], '10.244.1.0/24'],
    [['10.244.1.128/26'], '10.244.2.0/24'],
    [['10.244.0.0/17'], '10.244.128.0/24'],
    [['10.244.0.0/16'], undefined],
    [['fd00::/64'], '10.244.1.0/24'],
  ])('beside %j is %s', (taken, free) => {
    expect(freeSubnet(range, taken.map(prefix))).toBe(free);
  });

  test('is in the range and overlaps nothing, as long as there is one', () => {
    const small = { length: 28, min: address('10.0.0.16'), max: address('10.0.0.240') };
    const taken = fc.array(
      fc
        .tuple(fc.nat(255), fc.integer({ min: 25, max: 32 }))
        .map(([host, length]) => prefix(`10.0.0.${host}/${length}`)),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(taken, (prefixes) => {
        const found = freeSubnet(small, prefixes);
        const all = Array.from({ length: 15 }, (_, i) => prefix(`10.0.0.${16 * (i + 1)}/28`));
        const free = all.filter((subnet) => !prefixes.some((other) => overlaps(other, subnet)));
        expect(found).toBe(free[0]);
        if (found !== undefined) expect(isInRange(small, found)).toBe(true);
      }),
    );
  });

  test('of a large network with most of it taken', () => {
    const large = { length: 24, min: address('10.0.1.0'), max: address('10.255.255.0') };
    const taken = Array.from({ length: 60_000 }, (_, i) => prefix(`10.${i >> 8}.${i & 255}.0/24`));
    expect(freeSubnet(large, taken)).toBe('10.234.96.0/24');
  });

  test('a subnet outside, of another length or not aligned is not in the range', () => {
    expect(
      ['10.244.7.0/24', '10.244.0.0/24', '10.244.7.0/25', '10.245.1.0/24', 'fd00::/24'].map((text) =>
        isInRange(range, prefix(text)),
      ),
    ).toEqual([true, false, false, false, false]);
  });
});
