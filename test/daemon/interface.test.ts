import { describe, expect, test } from 'vitest';
import {
  chooseInterface,
  type Host,
  type HostAddress,
  InterfaceError,
  type InterfaceWish,
} from '../../src/daemon/interface.ts';
import { address } from '../../src/net/address.ts';

const permanent = 0x80;
const deprecated = 0x20;
const temporary = 0x01;

const links = [
  { index: 1, name: 'lo', mtu: 65_536 },
  { index: 2, name: 'eth0', mtu: 1500 },
  { index: 3, name: 'eth1', mtu: 9000 },
  { index: 4, name: 'wlan0', mtu: 1500 },
];
const on = (link: number, text: string, flags = permanent): HostAddress => ({
  link,
  address: address(text),
  flags,
});
const addresses = [
  on(1, '127.0.0.1'),
  on(1, '::1'),
  on(2, '10.0.0.1'),
  on(2, '10.0.0.2'),
  on(2, 'fe80::2'),
  on(2, 'fd00::2'),
  on(3, '192.168.1.1'),
  on(3, 'fd01::3'),
];
const host: Host = {
  links,
  addresses,
  defaultRoutes: [
    { family: 4, link: 3 },
    { family: 4, link: 2 },
    { family: 6, link: 3 },
  ],
};
const wish = (wanted: Partial<InterfaceWish>): InterfaceWish => ({ families: [4], iface: [], ...wanted });
const choose = (wanted: Partial<InterfaceWish>, on = host) => {
  const { link, ...rest } = chooseInterface(on, wish(wanted));
  return { name: link.name, ...rest };
};

describe('the interface is', () => {
  test.each([
    [
      'that of the first default route',
      {},
      { name: 'eth1', address: '192.168.1.1', publicIP: '192.168.1.1' },
    ],
    [
      'that of the IPv6 default route',
      { families: [6] },
      { name: 'eth1', ipv6Address: 'fd01::3', publicIPv6: 'fd01::3' },
    ],
    [
      'that of both default routes',
      { families: [4, 6] },
      {
        name: 'eth1',
        address: '192.168.1.1',
        publicIP: '192.168.1.1',
        ipv6Address: 'fd01::3',
        publicIPv6: 'fd01::3',
      },
    ],
    ['found by name', { iface: ['eth0'] }, { name: 'eth0', address: '10.0.0.1', publicIP: '10.0.0.1' }],
    [
      'found by address',
      { iface: ['10.0.0.2'] },
      { name: 'eth0', address: '10.0.0.2', publicIP: '10.0.0.2' },
    ],
    [
      'the first of those named that fits',
      { iface: ['eth9', 'wlan0', '10.9.9.9', 'eth0', 'eth1'] },
      { name: 'eth0', address: '10.0.0.1', publicIP: '10.0.0.1' },
    ],
    [
      'found by address in dual stack, the other family filled in',
      { families: [4, 6], iface: ['10.0.0.2'] },
      {
        name: 'eth0',
        address: '10.0.0.2',
        publicIP: '10.0.0.2',
        ipv6Address: 'fd00::2',
        publicIPv6: 'fd00::2',
      },
    ],
    [
      'found by a public address that it has',
      { publicIP: address('10.0.0.2') },
      { name: 'eth0', address: '10.0.0.2', publicIP: '10.0.0.2' },
    ],
    [
      'named, and reached by a public address that no interface has',
      { iface: ['eth0'], publicIP: address('203.0.113.1') },
      { name: 'eth0', address: '10.0.0.1', publicIP: '203.0.113.1' },
    ],
    [
      'found without regard to a public address of a family that is off',
      { families: [6], publicIP: address('203.0.113.1') },
      { name: 'eth1', ipv6Address: 'fd01::3', publicIPv6: 'fd01::3' },
    ],
  ] satisfies [string, Partial<InterfaceWish>, object][])('%s', (_name, wanted, expected) => {
    expect(choose(wanted)).toEqual(expected);
  });
});

describe('of its addresses', () => {
  const eth0 = (...candidates: HostAddress[]) =>
    choose({ families: [6], iface: ['eth0'] }, { ...host, addresses: candidates }).ipv6Address;

  test.each([
    ['a global one goes before a link-local one', [on(2, 'fe80::1'), on(2, 'fd00::9', 0)], 'fd00::9'],
    ['a link-local one serves where there is no other', [on(2, 'fe80::1')], 'fe80::1'],
    ['a permanent one goes first', [on(2, '2001:db8::1', 0), on(2, '2001:db8::2')], '2001:db8::2'],
    [
      'a temporary one goes last among those with a lifetime',
      [on(2, '2001:db8::1', temporary), on(2, '2001:db8::2', 0)],
      '2001:db8::2',
    ],
    [
      'a deprecated one is not taken',
      [on(2, 'fd00::1', permanent | deprecated), on(2, 'fe80::1')],
      'fe80::1',
    ],
    ['the first of equals is taken', [on(2, 'fd00::2'), on(2, 'fd00::1')], 'fd00::2'],
    ['those of other links do not count', [on(3, 'fd00::2'), on(2, 'fe80::1')], 'fe80::1'],
  ])('%s', (_name, candidates, expected) => {
    expect(eth0(...candidates)).toBe(expected);
  });
});

describe('no interface:', () => {
  const there =
    'Name one by --iface. There are: lo (127.0.0.1, ::1), eth0 (10.0.0.1, 10.0.0.2, fe80::2, fd00::2), ' +
    'eth1 (192.168.1.1, fd01::3), wlan0 (no address)';
  const lost = { ...host, defaultRoutes: [] };
  const split = {
    ...host,
    defaultRoutes: [host.defaultRoutes[1], host.defaultRoutes[2]] as Host['defaultRoutes'],
  };
  const flat = { ...host, links: links.map((link) => ({ ...link, mtu: 0 })) };

  test.each([
    [{ iface: ['eth9'] }, host, '--iface=eth9: there is no such interface'],
    [{ iface: ['10.9.9.9'] }, host, '--iface=10.9.9.9: no interface has the address 10.9.9.9'],
    [{ iface: ['fd00::2'] }, host, '--iface=fd00::2: the network has no IPv6'],
    [{ iface: ['wlan0'] }, host, '--iface=wlan0: wlan0 has no IPv4 address that could serve'],
    [
      { iface: ['eth9', 'lo'] },
      host,
      '--iface=eth9: there is no such interface; --iface=lo: lo has no IPv4 address that could serve',
    ],
    [
      { publicIP: address('203.0.113.1') },
      host,
      '--public-ip=203.0.113.1: no interface has the address 203.0.113.1',
    ],
    [
      { families: [4, 6], iface: ['10.0.0.1'], publicIPv6: address('fd01::3') },
      host,
      '--iface=10.0.0.1: it is on eth0, but --public-ipv6=fd01::3 on eth1',
    ],
    [{}, lost, 'default route: there is no IPv4 default route'],
    [
      { families: [4, 6] },
      split,
      "default route: IPv4's is on eth0, IPv6's on eth1; it must be one interface",
    ],
    [{}, flat, 'default route: eth1 has no MTU'],
  ] satisfies [Partial<InterfaceWish>, Host, string][])('%j', (wanted, on, reason) => {
    const message = `no interface for the traffic between nodes: ${reason}. ${there}`;
    expect(() => choose(wanted, on)).toThrow(new InterfaceError(message));
  });
});
