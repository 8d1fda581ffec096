import fc from 'fast-check';
import { IPv4, IPv4CidrRange } from 'ip-num';
import { describe, expect, test } from 'vitest';
import { address, addressFromInteger } from '../../src/net/address.ts';
import { mac, macBytes, macFromBytes, parseMac, randomMac } from '../../src/net/mac.ts';
import {
  containsAddress,
  containsPrefix,
  firstAddress,
  lastAddress,
  networkOf,
  overlaps,
  parsePrefix,
  prefix,
  prefixOf,
} from '../../src/net/prefix.ts';

const v4 = fc
  .tuple(fc.nat(0xffff_ffff), fc.integer({ min: 0, max: 32 }))
  .map(([value, length]) => prefixOf(addressFromInteger(BigInt(value), 4), length));

describe('a prefix', () => {
  test('begins and ends where ip-num says', () => {
    fc.assert(
      fc.property(v4, (text) => {
        const range = IPv4CidrRange.fromCidr(text);
        expect(firstAddress(text)).toBe(range.getFirst().toString());
        expect(lastAddress(text)).toBe(range.getLast().toString());
      }),
      { numRuns: 300 },
    );
  });

  test('contains what ip-num says, and overlaps what shares an address with it', () => {
    fc.assert(
      fc.property(v4, v4, (one, other) => {
        const [a, b] = [IPv4CidrRange.fromCidr(one), IPv4CidrRange.fromCidr(other)];
        const within =
          a.getFirst().getValue() <= b.getFirst().getValue() &&
          b.getLast().getValue() <= a.getLast().getValue();
        expect(containsPrefix(one, other)).toBe(within);
        expect(overlaps(one, other)).toBe(containsPrefix(one, other) || containsPrefix(other, one));
        expect(containsAddress(one, address(new IPv4(b.getFirst().getValue()).toString()))).toBe(
          containsPrefix(one, prefixOf(firstAddress(other), 32)),
        );
      }),
      { numRuns: 300 },
    );
  });

  test('keeps its host bits until they are asked away', () => {
    expect(parsePrefix('10.244.1.7/24')).toBe('10.244.1.7/24');
    expect(networkOf(prefix('10.244.1.7/24'))).toBe('10.244.1.0/24');
    expect(networkOf(prefix('fd00::1:2/112'))).toBe('fd00::1:0/112');
  });

  test.each([
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/08',
    'fd00::/129',
    '10.0.0/8',
    '/8',
    '::ffff:1.2.3.4/120',
  ])('is not %j', (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  });
});

describe('a MAC address', () => {
  test('is read in the forms that Go reads', () => {
    const forms = ['02:00:5E:10:00:01', '02-00-5e-10-00-01', '0200.5e10.0001'];
    expect(forms.map(parseMac)).toEqual(forms.map(() => '02:00:5e:10:00:01'));
  });

  test.each([
    '',
    '02:00:5e:10:00',
    '02:00:5e:10:00:01:02',
    '02:00-5e:10:00:01',
    '2:0:5e:10:0:1',
    'gg:00:00:00:00:00',
  ])('is not %j', (text) => {
    expect(parseMac(text)).toBeUndefined();
  });

  test('of random bytes is a local unicast one', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
        const made = macBytes(randomMac(bytes));
        expect((made[0] ?? 0) & 3).toBe(2);
        expect(macFromBytes(made)).toBe(randomMac(bytes));
      }),
    );
    expect(mac('02:00:5E:10:00:01')).toBe('02:00:5e:10:00:01');
  });
});
