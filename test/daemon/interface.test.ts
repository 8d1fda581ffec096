import { describe, expect, test } from 'vitest';
import {
  type Host,
  type HostAddress,
  InterfaceError,
  type InterfaceWish,
} from '../../src/daemon/host/interface.ts';
import { chooseInterface } from '../../src/daemon/host/interface-choice.ts';
import { address } from '../../src/net/address.ts';
import { prefix } from '../../src/net/prefix.ts';

const permanent = 0x80;
const deprecated = 0x20;
const duplicate = 0x08;
const temporary = 0x01;

const links = [
  { index: 1, name: 'lo', mtu: 65_536, loopback: true },
  { index: 2, name: 'eth0', mtu: 1500, loopback: false },
  { index: 3, name: 'eth1', mtu: 9000, loopback: false },
  { index: 4, name: 'wlan0', mtu: 1500, loopback: false },
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
const wish = (wanted: Partial<InterfaceWish>): InterfaceWish => ({
  families: [4],
  iface: [],
  ifaceRegex: [],
  nodeIPs: [],
  networks: [],
  ...wanted,
});
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
      'found by an IPv6 address in dual stack, the other family filled in',
      { families: [4, 6], iface: ['fd00::2'] },
      {
        name: 'eth0',
        address: '10.0.0.1',
        publicIP: '10.0.0.1',
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

test('in dual stack a family without a default route follows the other', () => {
  for (const family of [4, 6] as const) {
    const half = { ...host, defaultRoutes: host.defaultRoutes.filter((route) => route.family === family) };
    const { name, address: ipv4, ipv6Address } = choose({ families: [4, 6] }, half);
    expect([name, ipv4, ipv6Address]).toEqual(['eth1', '192.168.1.1', 'fd01::3']);
  }
});

describe('--iface-regex', () => {
  const byRegex = (...ifaceRegex: string[]) => {
    const { name, address: ipv4 } = choose({ ifaceRegex });
    return [name, ipv4];
  };

  test.each([
    ['an address, and takes it', String.raw`0\.0\.2$`, 'eth0', '10.0.0.2'],
    ['the first interface in the kernel’s order', String.raw`^1`, 'eth0', '10.0.0.1'],
    ['part of an address', '168', 'eth1', '192.168.1.1'],
    ['a name when it matches no address', '^eth1$', 'eth1', '192.168.1.1'],
    ['in Go’s syntax', '(?i)^(?P<kind>ETH)[[:digit:]]', 'eth0', '10.0.0.1'],
  ])('matches %s', (_what, text, name, ipv4) => {
    expect(byRegex(text)).toEqual([name, ipv4]);
  });

  test('is tried in order, and after --iface', () => {
    expect(byRegex('^10\\.9', 'eth1')).toEqual(['eth1', '192.168.1.1']);
    expect(choose({ iface: ['eth1'], ifaceRegex: ['eth0'] }).name).toBe('eth1');
    expect(choose({ iface: ['eth9'], ifaceRegex: ['eth0'] }).name).toBe('eth0');
  });

  test('in dual stack matches addresses of both families on one interface', () => {
    const both = choose({ families: [4, 6], ifaceRegex: [String.raw`(\.0\.2|^fd00)`] });
    expect([both.address, both.ipv6Address]).toEqual(['10.0.0.2', 'fd00::2']);
    // 10.0.0.1 alone is not enough, and no name matches either.
    expect(() => choose({ families: [4, 6], ifaceRegex: [String.raw`^10\.`] })).toThrow(
      String.raw`--iface-regex=^10\.: it matches neither an address nor a name`,
    );
  });

  test('never matches the loopback interface, a deprecated address or a pod’s', () => {
    expect(byRegex('^(127|::1|lo)', 'eth1')[0]).toBe('eth1');
    const pods = { ...host, addresses: [on(4, '10.244.1.1'), on(2, '10.0.0.9', deprecated), ...addresses] };
    const found = choose({ ifaceRegex: [String.raw`^10\.`], networks: [prefix('10.244.0.0/16')] }, pods);
    expect([found.name, found.address]).toEqual(['eth0', '10.0.0.1']);
  });
});

describe('--iface-can-reach', () => {
  const target = address('198.51.100.1');
  const reaching = (reached: Host['reached'], wanted: Partial<InterfaceWish> = {}) =>
    choose({ ifaceCanReach: target, ...wanted }, reached ? { ...host, reached } : host);

  test('takes the interface and the source of the route', () => {
    expect(reaching({ link: 2, source: address('10.0.0.2') })).toEqual({
      name: 'eth0',
      address: '10.0.0.2',
      publicIP: '10.0.0.2',
    });
  });

  test('takes the best address when the route names no source', () => {
    expect(reaching({ link: 2 }).address).toBe('10.0.0.1');
  });

  test('by an IPv6 address: its source is the IPv6 address', () => {
    const reached = { link: 2, source: address('fe80::2') };
    const found = reaching(reached, { families: [4, 6], ifaceCanReach: address('2001:db8::1') });
    expect([found.address, found.ipv6Address]).toEqual(['10.0.0.1', 'fe80::2']);
    const alone = reaching(reached, { families: [6], ifaceCanReach: address('2001:db8::1') });
    expect([alone.address, alone.ipv6Address]).toEqual([undefined, 'fe80::2']);
  });

  test('comes last', () => {
    expect(reaching({ link: 2 }, { iface: ['eth1'] }).name).toBe('eth1');
    expect(reaching({ link: 2 }, { ifaceRegex: ['eth1'] }).name).toBe('eth1');
    expect(reaching({ link: 2 }, { iface: ['eth9'], ifaceRegex: ['^x'] }).name).toBe('eth0');
  });
});

describe('--node-ip', () => {
  const nodeIPs = [address('fd00::2'), address('10.0.0.2')];

  test('chooses the interface that has it, where nothing else does', () => {
    expect(choose({ nodeIPs }).name).toBe('eth0');
    expect(choose({ nodeIPs, publicIP: address('203.0.113.1') })).toEqual({
      name: 'eth0',
      address: '10.0.0.2',
      publicIP: '203.0.113.1',
    });
  });

  test('is the address that is taken, of both families', () => {
    const found = choose({ families: [4, 6], iface: ['eth0'], nodeIPs });
    expect([found.publicIP, found.publicIPv6]).toEqual(['10.0.0.2', 'fd00::2']);
  });

  test('does not count where the interface asked for has it not', () => {
    expect(choose({ iface: ['eth1'], nodeIPs }).address).toBe('192.168.1.1');
  });

  test('of a family that the network has not is passed over', () => {
    expect(choose({ nodeIPs: [address('fd00::2')] }).name).toBe('eth1');
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
    [
      'one that another machine has is not taken',
      [on(2, 'fd00::1', permanent | duplicate), on(2, 'fe80::1')],
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
      '--iface=eth9: there is no such interface; --iface=lo: lo is the loopback interface, it leads to no other node',
    ],
    [
      { iface: ['127.0.0.1'] },
      host,
      '--iface=127.0.0.1: lo is the loopback interface, it leads to no other node',
    ],
    [
      { ifaceRegex: ['^wl', '^x'] },
      host,
      '--iface-regex=^wl: wlan0 has no IPv4 address that could serve; --iface-regex=^x: it matches neither an address nor a name',
    ],
    [{ ifaceCanReach: address('1.1.1.1') }, host, '--iface-can-reach=1.1.1.1: there is no route to it'],
    [
      { ifaceCanReach: address('10.0.0.1') },
      { ...host, reached: { link: 1, source: address('10.0.0.1') } },
      '--iface-can-reach=10.0.0.1: it is an address of this node itself',
    ],
    [
      { ifaceCanReach: address('10.244.3.1'), networks: [prefix('10.244.0.0/16')] },
      { ...host, reached: { link: 2 } },
      '--iface-can-reach=10.244.3.1: it is inside of the flannel network',
    ],
    [{ nodeIPs: [address('10.9.9.9')] }, host, '--node-ip=10.9.9.9: no interface has the address 10.9.9.9'],
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
    [{ families: [4, 6] }, lost, 'default route: there is no IPv4 or IPv6 default route'],
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
