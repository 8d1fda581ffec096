import { describe, expect, test } from 'vitest';
import { parseRange, type RangeConfiguration, rangesOverlap } from '../../src/ipam/range.ts';

const brief = (configuration: RangeConfiguration) => {
  const { subnet, rangeStart, rangeEnd, gateway } = parseRange(configuration);
  return { subnet, rangeStart, rangeEnd, gateway };
};

describe('a range is completed', () => {
  test.each([
    ['192.0.2.0/24', '192.0.2.1', '192.0.2.254', '192.0.2.1'],
    ['192.0.2.0/25', '192.0.2.1', '192.0.2.126', '192.0.2.1'],
    ['192.0.2.0/30', '192.0.2.1', '192.0.2.2', '192.0.2.1'],
    ['2001:db8:1::/64', '2001:db8:1::1', '2001:db8:1:0:ffff:ffff:ffff:ffff', '2001:db8:1::1'],
    ['2001:db8:1::/126', '2001:db8:1::1', '2001:db8:1::3', '2001:db8:1::1'],
  ])('%s: from %s to %s, gateway %s', (subnet, rangeStart, rangeEnd, gateway) => {
    expect(brief({ subnet })).toEqual({ subnet, rangeStart, rangeEnd, gateway });
  });

  test('empty texts count as absent', () => {
    const configuration = { subnet: '192.0.2.0/24', rangeStart: '', rangeEnd: '', gateway: '' };
    expect(brief(configuration)).toEqual(brief({ subnet: '192.0.2.0/24' }));
  });

  test('with everything given, as given', () => {
    const configuration = {
      subnet: '192.0.2.0/24',
      rangeStart: '192.0.2.40',
      rangeEnd: '192.0.2.50',
      gateway: '192.0.2.254',
    };
    expect(brief(configuration)).toEqual(configuration);
  });

  test('network and broadcast address may be asked for, the gateway may lie anywhere', () => {
    const configuration = {
      subnet: '192.0.2.0/24',
      rangeStart: '192.0.2.0',
      rangeEnd: '192.0.2.255',
      gateway: '10.0.0.1',
    };
    expect(brief(configuration)).toEqual(configuration);
  });
});

describe('a range is refused', () => {
  test.each<[string, RangeConfiguration, string]>([
    ['I08 an IPv4 /31', { subnet: '192.0.2.0/31' }, 'Network 192.0.2.0/31 too small to allocate from'],
    ['I08 an IPv4 /32', { subnet: '192.0.2.0/32' }, 'Network 192.0.2.0/32 too small to allocate from'],
    ['I08 an IPv6 /127', { subnet: 'fd00::/127' }, 'Network fd00::/127 too small to allocate from'],
    [
      'I09 IPv4 host bits',
      { subnet: '192.0.2.12/24' },
      'Network has host bits set. For a subnet mask of length 24 the network address is 192.0.2.0',
    ],
    [
      'I09 IPv4 host bits of a shorter mask',
      { subnet: '192.168.127.0/23' },
      'Network has host bits set. For a subnet mask of length 23 the network address is 192.168.126.0',
    ],
    [
      'I09 IPv6 host bits',
      { subnet: '2001:DB8:1::24:19ff:fee1:c44a/64' },
      'Network has host bits set. For a subnet mask of length 64 the network address is 2001:db8:1::',
    ],
    [
      'I09 IPv6 host bits of a shorter mask',
      { subnet: '2001:DB8:24:19ff::/63' },
      'Network has host bits set. For a subnet mask of length 63 the network address is 2001:db8:24:19fe::',
    ],
    [
      'a start outside',
      { subnet: '192.0.2.0/24', rangeStart: '192.0.3.0' },
      'RangeStart 192.0.3.0 not in network 192.0.2.0/24',
    ],
    [
      'an end outside',
      { subnet: '192.0.2.0/24', rangeEnd: '192.0.4.0' },
      'RangeEnd 192.0.4.0 not in network 192.0.2.0/24',
    ],
    [
      'an end before the default start',
      { subnet: '192.0.2.0/24', rangeEnd: '192.0.2.0' },
      'RangeEnd 192.0.2.0 not in network 192.0.2.0/24',
    ],
    [
      'a start after the default end',
      { subnet: '192.0.2.0/24', rangeStart: '192.0.2.255' },
      'RangeStart 192.0.2.255 not in network 192.0.2.0/24',
    ],
    [
      'a start of the other family',
      { subnet: '192.0.2.0/24', rangeStart: 'fd00::1' },
      'RangeStart fd00::1 not in network 192.0.2.0/24',
    ],
    [
      'a start after the end',
      { subnet: '192.0.2.0/24', rangeStart: '192.0.2.50', rangeEnd: '192.0.2.40' },
      'RangeStart 192.0.2.50 not in network 192.0.2.0/24',
    ],
    ['no subnet', { rangeStart: '192.0.2.50' }, 'IP <nil> not v4 nor v6'],
    ['a subnet without length', { subnet: '192.0.2.0' }, 'invalid CIDR address: 192.0.2.0'],
    [
      'a gateway that is none',
      { subnet: '192.0.2.0/24', gateway: '192.0.2.01' },
      'invalid IP address: 192.0.2.01',
    ],
  ])('%s', (_, configuration, message) => {
    expect(() => parseRange(configuration)).toThrow(
      expect.objectContaining({ code: 'CONFIGURATION', message }),
    );
  });
});

describe('ranges overlap', () => {
  test.each<[string, RangeConfiguration, RangeConfiguration, boolean]>([
    ['apart', { subnet: '10.0.0.0/24' }, { subnet: '10.0.1.0/24' }, false],
    ['of different families', { subnet: '0.0.0.0/24' }, { subnet: '::/24' }, false],
    ['identical', { subnet: '10.0.0.0/24' }, { subnet: '10.0.0.0/24' }, true],
    ['one in the other', { subnet: '10.0.0.0/20' }, { subnet: '10.0.1.0/24' }, true],
    [
      'apart in one subnet',
      { subnet: '10.0.0.0/24', rangeEnd: '10.0.0.127' },
      { subnet: '10.0.0.0/24', rangeStart: '10.0.0.128' },
      false,
    ],
    [
      'overlapping in one subnet',
      { subnet: '10.0.0.0/24', rangeEnd: '10.0.0.127' },
      { subnet: '10.0.0.0/24', rangeStart: '10.0.0.127' },
      true,
    ],
  ])('%s', (_, one, other, expected) => {
    expect(rangesOverlap(parseRange(one), parseRange(other))).toBe(expected);
    expect(rangesOverlap(parseRange(other), parseRange(one))).toBe(expected);
  });
});
