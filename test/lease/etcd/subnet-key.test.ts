import { describe, expect, test } from 'vitest';
import { parseSubnetKey, subnetKey } from '../../../src/lease/etcd/subnet-key.ts';
import { prefix } from '../../../src/net/prefix.ts';

describe('the key of a lease', () => {
  test.each([
    ['10.12.13.0-24', { subnet: prefix('10.12.13.0/24') }],
    [
      '10.12.13.0-24&fd00:12:13::-56',
      { subnet: prefix('10.12.13.0/24'), ipv6Subnet: prefix('fd00:12:13::/56') },
    ],
    ['0.0.0.0-0&fd00:244:0:1::-64', { ipv6Subnet: prefix('fd00:244:0:1::/64') }],
  ])('%s is read and written as by Go flannel', (key, subnets) => {
    expect(parseSubnetKey(key)).toEqual(subnets);
    expect(subnetKey(subnets)).toBe(key);
  });

  test.each([
    'hello',
    '',
    '0.0.0.0-0',
    '10.12.13.0',
    '10.12.13.0/24',
    '10.12.13-24',
    '10.12.13.256-24',
    '10.12.13.0-33',
    '10.12.13.1-24',
    'x10.12.13.0-24',
    '10.12.13.0-024',
    '010.12.13.0-24',
    '10.12.13.0-24&',
    '10.12.13.0-24&10.1.0.0-24',
    '10.12.13.0-24&::ffff:10.1.0.0-120',
    '10.12.13.0-24&fd00::1-64',
    '10.12.13.0-24&fd00:0::-64',
    '10.12.13.0-24&fd00::-129',
    '10.12.13.0-24&FD00::-64',
    '10.12.13.0-24\n',
  ])('%j names no subnet', (key) => {
    expect(parseSubnetKey(key)).toEqual(expect.stringMatching(/^its key /));
  });
});
