import { describe, expect, test } from 'vitest';
import { readPreviousResult } from '../../src/cni/configuration/previous-result.ts';
import { type Result, resultDocument } from '../../src/cni/result.ts';
import { supportedVersions } from '../../src/cni/version.ts';
import { address } from '../../src/net/address.ts';
import { prefix } from '../../src/net/prefix.ts';
import { refusal } from './refusal.ts';

const result: Result = {
  interfaces: [
    { name: 'cni0', mac: '02:00:00:00:00:01' },
    { name: 'veth01020304', mac: '02:00:00:00:00:02' },
    { name: 'eth0', mac: '02:00:00:00:00:03', sandbox: '/run/netns/c1' },
  ],
  ips: [
    { address: prefix('10.244.1.2/24'), gateway: address('10.244.1.1'), interface: 2 },
    { address: prefix('fd00:244:0:1::2/64'), gateway: address('fd00:244:0:1::1'), interface: 0 },
    { address: prefix('10.9.0.2/24'), interface: 2 },
  ],
  routes: [
    { dst: prefix('10.244.0.0/16'), mtu: 1400, priority: 5 },
    { dst: prefix('::/0'), gw: address('fd00:244:0:1::1') },
  ],
};

const interfaces = [
  { name: 'cni0', mac: '02:00:00:00:00:01' },
  { name: 'veth01020304', mac: '02:00:00:00:00:02' },
  { name: 'eth0', mac: '02:00:00:00:00:03', sandbox: '/run/netns/c1' },
];
const routes = [
  { dst: '10.244.0.0/16', mtu: 1400, priority: 5 },
  { dst: '::/0', gw: 'fd00:244:0:1::1' },
];
const ips = [
  { address: '10.244.1.2/24', gateway: '10.244.1.1', interface: 2 },
  { address: 'fd00:244:0:1::2/64', gateway: 'fd00:244:0:1::1', interface: 0 },
  { address: '10.9.0.2/24', interface: 2 },
];
const oldIps = [
  { version: '4', ...ips[0] },
  { version: '6', ...ips[1] },
  { version: '4', ...ips[2] },
];
const oldest = {
  ip4: { ip: '10.244.1.2/24', gateway: '10.244.1.1', routes: [{ dst: '10.244.0.0/16' }] },
  ip6: {
    ip: 'fd00:244:0:1::2/64',
    gateway: 'fd00:244:0:1::1',
    routes: [{ dst: '::/0', gw: 'fd00:244:0:1::1' }],
  },
  dns: {},
};
const rich = { interfaces, ips: oldIps, routes, dns: {} };
const current = { interfaces, ips, routes };

describe('a result', () => {
  test.each([
    ['0.1.0', oldest],
    ['0.2.0', oldest],
    ['0.3.0', rich],
    ['0.3.1', rich],
    ['0.4.0', rich],
    ['1.0.0', current],
    ['1.1.0', current],
  ])('in version %s', (cniVersion, rest) => {
    expect(JSON.parse(resultDocument(result, cniVersion))).toEqual({ cniVersion, ...rest });
  });

  test('is printed as the reference prints it', () => {
    const ip = { address: prefix('10.244.1.2/24'), interface: 0 };
    expect(resultDocument({ interfaces: [{ name: 'eth0' }], ips: [ip], routes: [] }, '0.4.0')).toBe(
      [
        '{',
        '    "cniVersion": "0.4.0",',
        '    "interfaces": [',
        '        {',
        '            "name": "eth0"',
        '        }',
        '    ],',
        '    "ips": [',
        '        {',
        '            "version": "4",',
        '            "address": "10.244.1.2/24",',
        '            "interface": 0',
        '        }',
        '    ],',
        '    "dns": {}',
        '}',
      ].join('\n'),
    );
  });

  test('shows dns in every version', () => {
    const dns = { nameservers: ['192.0.2.1'] };
    for (const version of supportedVersions) {
      expect(JSON.parse(resultDocument({ ...result, dns }, version))).toHaveProperty('dns', dns);
    }
  });

  test('without an address has no words in 0.2.0', () => {
    expect(() => resultDocument({ interfaces: [], ips: [], routes: [] }, '0.2.0')).toThrow(
      'cannot convert: no valid IP addresses',
    );
  });
});

describe('prevResult', () => {
  const read = (prevResult: unknown, cniVersion = '1.0.0') => readPreviousResult({ prevResult }, cniVersion);

  test.each(['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'])('of version %s is read again', (version) => {
    expect(read(JSON.parse(resultDocument(result, version)), '1.0.0')).toEqual(result);
  });

  test.each(['0.1.0', '0.2.0'])('of version %s has lost the interfaces', (version) => {
    expect(read(JSON.parse(resultDocument(result, version)), '0.4.0')).toEqual({
      interfaces: [],
      ips: [
        { address: '10.244.1.2/24', gateway: '10.244.1.1' },
        { address: 'fd00:244:0:1::2/64', gateway: 'fd00:244:0:1::1' },
      ],
      routes: [{ dst: '10.244.0.0/16' }, { dst: '::/0', gw: 'fd00:244:0:1::1' }],
    });
  });

  test("without a version is of the configuration's", () => {
    expect(read({ ip4: { ip: '10.0.0.2/8' } }, '0.2.0')?.ips).toEqual([{ address: '10.0.0.2/8' }]);
    expect(read({ ips: [{ address: '10.0.0.2/8' }] }, '0.4.0')?.ips).toEqual([{ address: '10.0.0.2/8' }]);
  });

  test.each([[undefined], [null]])('%j is none', (prevResult) => {
    expect(read(prevResult)).toBeUndefined();
  });

  test.each([
    [{ cniVersion: '2.0.0' }, 6, 'prevResult has the CNI version "2.0.0", which is unknown here'],
    [{ ips: [{ address: '10.0.0.2' }] }, 7, /prevResult.ips\[0\].address must be a CIDR address/],
    [{ ips: 5 }, 7, /prevResult.ips must be a list, and is 5/],
    [[], 7, /prevResult must be an object, and is an array/],
    [{ interfaces: [null, 5] }, 7, /prevResult.interfaces\[1\] must be an object/],
  ])('%j is refused', (prevResult, expected, why) => {
    const { code, msg } = refusal(() => read(prevResult));
    expect(code).toBe(expected);
    expect(msg).toMatch(why);
  });
});
