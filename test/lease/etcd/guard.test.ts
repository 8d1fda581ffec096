import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { guardOf } from '../../../src/lease/etcd/guard.ts';
import { KeySpace } from '../../../src/lease/etcd/key-space.ts';
import { subnetKey } from '../../../src/lease/etcd/subnet-key.ts';
import { networkOf, overlaps, prefix } from '../../../src/net/prefix.ts';

const keys = new KeySpace('/n');
const network = prefix('10.0.0.0/8');
const holds = (ranges: ReturnType<typeof guardOf>, key: string): boolean =>
  ranges.some((range) => range.key <= key && key < range.rangeEnd);

describe('where nothing may come into being while a subnet is taken', () => {
  test('is where leases would overlap it, and not much more', () => {
    const ranges = guardOf(keys, { subnet: prefix('10.5.1.0/24') }, prefix('10.5.0.0/16'));
    const held = (id: string) => holds(ranges, keys.keyOf(id));
    expect(
      ['10.5.1.0-24', '10.5.1.0-24&fd00::-64', '10.5.1.128-25', '10.5.0.0-23', '10.5.0.0-20&fd00::-64'].map(
        held,
      ),
    ).not.toContain(false);
    expect(
      ['10.5.2.0-24', '10.5.10.0-24', '10.5.0.0-24', '10.5.11.0-24', '10.15.1.0-24'].map(held),
    ).not.toContain(true);
  });

  test('holds every lease that overlaps, whatever its length', () => {
    const subnet = fc
      .tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.integer({ min: 10, max: 30 }))
      .map(([a, b, c, length]) => networkOf(prefix(`10.${a}.${b}.${c}/${length}`)));
    const near = fc
      .tuple(fc.nat(3), fc.nat(3), fc.nat(255), fc.integer({ min: 10, max: 30 }))
      .map(([a, b, c, length]) => networkOf(prefix(`10.${a}.${b}.${c}/${length}`)));
    const pair = subnet.chain((one) =>
      fc
        .integer({ min: 9, max: 30 })
        .map((length) => [one, networkOf(prefix(`${one.split('/')[0]}/${length}`))] as const),
    );
    fc.assert(
      fc.property(fc.oneof(pair, fc.tuple(near, near)), fc.boolean(), ([one, other], isDual) => {
        if (!overlaps(one, other)) return true;
        const ranges = guardOf(keys, { subnet: one }, network);
        expect(ranges.length).toBeLessThan(100);
        const id = subnetKey({ subnet: other, ...(isDual && { ipv6Subnet: prefix('fd00::/64') }) });
        return holds(ranges, keys.keyOf(id));
      }),
      { numRuns: 2000 },
    );
  });

  test('is everywhere with IPv6', () => {
    const subnets = { subnet: prefix('10.5.1.0/24'), ipv6Subnet: prefix('fd00::/64') };
    expect(guardOf(keys, subnets, network)).toEqual([keys.leases]);
  });
});
