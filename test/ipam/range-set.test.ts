import { describe, expect, test } from 'vitest';
import {
  describeRangeSet,
  parseRangeSet,
  parseRangeSets,
  parseRequested,
  type RangeSetsConfiguration,
  rangeFor,
  setsOverlap,
} from '../../src/ipam/range-set.ts';
import { address } from '../../src/net/address.ts';

const set = (...subnets: string[]) => subnets.map((subnet) => ({ subnet }));
const sets = (configuration: Partial<RangeSetsConfiguration>) =>
  parseRangeSets({ cniVersion: '0.3.1', ...configuration });

describe('range sets', () => {
  test('old style', () => {
    expect(
      sets({ single: { subnet: '10.1.2.0/24', rangeStart: '10.1.2.9', rangeEnd: '10.1.2.20' } }).map(
        describeRangeSet,
      ),
    ).toEqual(['10.1.2.9-10.1.2.20']);
  });

  test('new style', () => {
    expect(
      sets({ ranges: [set('10.1.2.0/24', '10.2.2.0/24'), set('fd00::/64')] }).map(describeRangeSet),
    ).toEqual(['10.1.2.1-10.1.2.254,10.2.2.1-10.2.2.254', 'fd00::1-fd00::ffff:ffff:ffff:ffff']);
  });

  test('mixed: first those of the runtime, then the old style, then the new', () => {
    const mixed = sets({
      ipRanges: [set('11.1.2.0/24'), set('fd01::/64')],
      single: { subnet: '10.1.2.0/24' },
      ranges: [set('10.1.4.0/24')],
    });
    expect(mixed.map((each) => each[0]?.subnet)).toEqual([
      '11.1.2.0/24',
      'fd01::/64',
      '10.1.2.0/24',
      '10.1.4.0/24',
    ]);
  });

  test('an old style without subnet is none', () => {
    expect(sets({ single: { gateway: '10.1.2.1' }, ranges: [set('10.1.4.0/24')] })).toHaveLength(1);
  });

  test('one IPv4 and one IPv6 set are fine for 0.2.0', () => {
    expect(sets({ cniVersion: '0.2.0', ranges: [set('10.1.2.0/24'), set('2001:db8:1::/48')] })).toHaveLength(
      2,
    );
  });

  test.each<[string, Partial<RangeSetsConfiguration>, string]>([
    ['none', {}, 'no IP ranges specified'],
    ['an empty set', { ranges: [set('10.1.2.0/24'), []] }, 'invalid range set 1: empty range set'],
    [
      'I11 mixed families',
      { ranges: [set('10.1.0.0/22', '2001:db8:5::/64')] },
      'invalid range set 0: mixed address families',
    ],
    [
      'I10 an overlap inside a set',
      { ranges: [set('10.1.0.0/22', '10.1.2.0/24')] },
      'invalid range set 0: subnets 10.1.0.1-10.1.3.254 and 10.1.2.1-10.1.2.254 overlap',
    ],
    [
      'I10 an overlap of two sets',
      {
        ranges: [
          set('10.1.2.0/24', '10.2.2.0/24'),
          set('10.1.4.0/24', '10.1.6.0/24', '10.1.8.0/24', '10.1.2.0/24'),
        ],
      },
      'range set 0 overlaps with 1',
    ],
    [
      'two IPv4 sets for 0.2.0',
      { cniVersion: '0.2.0', ranges: [set('10.1.2.0/24'), set('11.1.2.0/24')] },
      'CNI version 0.2.0 does not support more than 1 address per family',
    ],
    [
      'a bad range, by its number',
      { ranges: [set('10.1.2.0/24'), set('10.3.0.1/24')] },
      'invalid range set 1: Network has host bits set. For a subnet mask of length 24 the network address is 10.3.0.0',
    ],
  ])('%s is refused', (_, configuration, message) => {
    expect(() => sets(configuration)).toThrow(expect.objectContaining({ code: 'CONFIGURATION', message }));
  });

  test('membership', () => {
    const both = parseRangeSet(set('192.168.0.0/24', '172.16.1.0/24'));
    expect(rangeFor(both, address('192.168.0.55'))).toBe(both[0]);
    expect(rangeFor(both, address('172.16.1.254'))).toBe(both[1]);
    expect(rangeFor(both, address('172.16.1.255'))).toBeUndefined();
    expect(rangeFor(both, address('192.168.99.99'))).toBeUndefined();
    expect(rangeFor(parseRangeSet(set('0.0.0.0/24')), address('::5'))).toBeUndefined();
  });

  test.each([
    ['192.0.2.39', false],
    ['192.0.2.40', true],
    ['192.0.2.50', true],
    ['192.0.2.51', false],
    ['192.0.3.0', false],
  ])('membership of %s between start and end: %s', (text, expected) => {
    const range = { subnet: '192.0.2.0/24', rangeStart: '192.0.2.40', rangeEnd: '192.0.2.50' };
    expect(rangeFor(parseRangeSet([range]), address(text)) !== undefined).toBe(expected);
  });

  test.each([
    ['2001:db8:1::39', false],
    ['2001:db8:1::40', true],
    ['2001:db8:1::50', true],
    ['2001:db8:1::51', false],
    ['2001:db8:2::', false],
  ])('membership of %s between start and end: %s', (text, expected) => {
    const range = { subnet: '2001:db8:1::/64', rangeStart: '2001:db8:1::40', rangeEnd: '2001:db8:1::50' };
    expect(rangeFor(parseRangeSet([range]), address(text)) !== undefined).toBe(expected);
  });

  test('overlap of sets', () => {
    const [one, two, three] = ['192.168.0.0/20', '192.168.2.0/24', '192.168.16.0/24'].map((each) =>
      parseRangeSet(set(each)),
    );
    expect(setsOverlap(one ?? [], two ?? [])).toBe(true);
    expect(setsOverlap(two ?? [], one ?? [])).toBe(true);
    expect(setsOverlap(one ?? [], three ?? [])).toBe(false);
  });
});

describe('I12 requested addresses', () => {
  test('CNI_ARGS, args and runtimeConfig add up in this order; a length is ignored', () => {
    const asked = parseRequested('10.1.2.10/24', ['10.1.2.11/24', '11.11.11.11'], ['2001:db8:1::11/64']);
    expect(asked).toEqual(['10.1.2.10', '10.1.2.11', '11.11.11.11', '2001:db8:1::11']);
  });

  test('none', () => {
    expect(parseRequested(undefined)).toEqual([]);
    expect(parseRequested('')).toEqual([]);
  });

  test.each([['10.1.2'], ['10.1.2.3/33'], ['10.1.2.3/'], [' 10.1.2.3']])('%j is refused', (text) => {
    expect(() => parseRequested(undefined, [text])).toThrow(`invalid IP address ${text}`);
  });
});
