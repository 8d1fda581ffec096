import { describe, expect, test } from 'vitest';
import { Occupancy } from '../../src/ipam/occupancy.ts';
import { parseRangeSet } from '../../src/ipam/range-set.ts';
import { nextAddress } from '../../src/ipam/round-robin.ts';
import { type Address, address, addressToInteger } from '../../src/net/address.ts';

const set = (...subnets: string[]) => parseRangeSet(subnets.map((subnet) => ({ subnet })));
const used = (...addresses: string[]) => {
  const occupancy = new Occupancy();
  for (const each of addresses) occupancy.add(addressToInteger(address(each)));
  return occupancy;
};
const optional = (text: string) => (text === '' ? undefined : address(text));

describe('the order of a /29', () => {
  const rest = (...lastNumbers: number[]) => lastNumbers.map((number) => `192.168.1.${number}`);
  test.each([
    ['without a last reserved address', '', rest(2, 3, 4, 5, 6)],
    ['with the pointer at the end', '192.168.1.6', rest(2, 3, 4, 5, 6)],
    ['with the pointer in the middle', '192.168.1.3', rest(4, 5, 6, 2, 3)],
  ])('%s', (_, last, expected) => {
    const occupancy = new Occupancy();
    const seen: string[] = [];
    let pointer = optional(last);
    for (;;) {
      const next = nextAddress(set('192.168.1.0/29'), pointer, occupancy);
      if (next === undefined) break;
      seen.push(next.address);
      occupancy.add(addressToInteger(next.address));
      pointer = next.address;
    }
    expect(seen).toEqual(expected);
  });
});

describe('round robin', () => {
  test.each<[subnets: string[], used: string[], last: string, expected: string]>([
    [['10.0.0.0/29'], [], '', '10.0.0.2'],
    [['2001:db8:1::/64'], [], '', '2001:db8:1::2'],
    [['10.0.0.0/30'], [], '', '10.0.0.2'],
    [['10.0.0.0/29'], ['10.0.0.2'], '', '10.0.0.3'],
    [['10.0.0.0/29'], [], '10.0.0.5', '10.0.0.6'],
    [['10.0.0.0/29'], ['10.0.0.4', '10.0.0.5'], '10.0.0.3', '10.0.0.6'],
    [['10.0.0.0/29'], ['10.0.0.6'], '10.0.0.5', '10.0.0.2'],
    [['10.0.0.0/29'], ['10.0.0.2'], '10.0.0.128', '10.0.0.3'],
    [['10.0.0.0/29'], ['10.0.0.2', '10.0.0.4', '10.0.0.5', '10.0.0.6'], '10.0.0.3', '10.0.0.3'],
    [['10.0.0.0/30', '10.0.1.0/30'], [], '', '10.0.0.2'],
    [['10.0.0.0/30', '10.0.1.0/30'], [], '10.0.0.2', '10.0.1.2'],
    [['10.0.0.0/30', '10.0.1.0/30', '10.0.2.0/30'], [], '10.0.2.2', '10.0.0.2'],
    [['fd00::/126'], [], 'fd00::3', 'fd00::2'],
  ])('%j, used %j, last reserved %j: %s', (subnets, taken, last, expected) => {
    expect(nextAddress(set(...subnets), optional(last), used(...taken))?.address).toBe(expected);
  });

  test('with explicit bounds the network and broadcast address are handed out', () => {
    const whole = parseRangeSet([
      { subnet: '192.168.1.0/29', rangeStart: '192.168.1.0', rangeEnd: '192.168.1.3' },
      { subnet: '192.168.2.0/29', rangeStart: '192.168.2.0', rangeEnd: '192.168.2.7' },
    ]);
    expect(nextAddress(whole, undefined, used())?.address).toBe('192.168.1.0');
    expect(nextAddress(whole, address('192.168.1.3'), used())?.address).toBe('192.168.2.0');
    expect(nextAddress(whole, address('192.168.2.6'), used())?.address).toBe('192.168.2.7');
  });

  test('I05 the gateway is skipped wherever it lies', () => {
    const range = parseRangeSet([{ subnet: '10.0.0.0/29', gateway: '10.0.0.4' }]);
    const order: (Address | undefined)[] = ['', '10.0.0.3', '10.0.0.6'].map(
      (last) => nextAddress(range, optional(last), used())?.address,
    );
    expect(order).toEqual(['10.0.0.1', '10.0.0.5', '10.0.0.1']);
  });

  test('a range of the gateway alone has nothing', () => {
    const lone = parseRangeSet([{ subnet: '10.0.0.0/29', rangeEnd: '10.0.0.1' }]);
    expect(nextAddress(lone, undefined, used())).toBeUndefined();
    expect(nextAddress(lone, address('10.0.0.1'), used())).toBeUndefined();
  });
});
