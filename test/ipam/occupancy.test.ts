import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Occupancy } from '../../src/ipam/occupancy.ts';

/** A slow twin. */
const nextFree = (used: Set<number>, first: number, last: number) => {
  for (let at = first; at <= last; at++) if (!used.has(at)) return at;
  return undefined;
};

describe('occupancy', () => {
  test('finds and counts what a plain set does, across pages and far up', () => {
    const place = fc.integer({ min: 0, max: 5000 });
    const run = fc.record({ at: place, length: fc.integer({ min: 1, max: 2500 }), add: fc.boolean() });
    const base = fc.constantFrom(0n, 0x0af40000n, 0xfd00n << 112n);
    fc.assert(
      fc.property(base, fc.array(run, { maxLength: 8 }), place, place, (base, runs, a, b) => {
        const occupancy = new Occupancy();
        const twin = new Set<number>();
        for (const { at, length, add } of runs) {
          for (let value = at; value < at + length; value++) {
            if (add) occupancy.add(base + BigInt(value));
            else occupancy.delete(base + BigInt(value));
            if (add) twin.add(value);
            else twin.delete(value);
          }
        }
        const [first, last] = [Math.min(a, b), Math.max(a, b)];
        const expected = nextFree(twin, first, last);
        const found = occupancy.nextFree(base + BigInt(first), base + BigInt(last));
        expect(found).toBe(expected === undefined ? undefined : base + BigInt(expected));
        const inside = [...twin].filter((value) => value >= first && value <= last).length;
        expect(occupancy.count(base + BigInt(first), base + BigInt(last))).toBe(inside);
      }),
      { numRuns: 60 },
    );
  });

  test('an empty interval has nothing free', () => {
    expect(new Occupancy().nextFree(5n, 4n)).toBeUndefined();
  });

  test('adding twice and deleting what is not there change nothing', () => {
    const occupancy = new Occupancy();
    occupancy.add(7n);
    occupancy.add(7n);
    occupancy.delete(8n);
    occupancy.delete(1n << 100n);
    expect(occupancy.count(0n, 2000n)).toBe(1);
    occupancy.delete(7n);
    expect(occupancy.count(0n, 2000n)).toBe(0);
    expect(occupancy.nextFree(7n, 7n)).toBe(7n);
  });
});
