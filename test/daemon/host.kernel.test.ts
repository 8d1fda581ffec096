import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { observeHost, observeNodeRanges } from '../../src/daemon/host/host.ts';
import { chooseInterface } from '../../src/daemon/host/interface-choice.ts';
import type { InterfaceWish } from '../../src/daemon/host/interface.ts';
import { address } from '../../src/net/address.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { createNetns, type Netns } from '../kit/netns.ts';

let netns: Netns;
let session: SyncSession;
beforeAll(async () => {
  netns = createNetns();
  session = new SyncSession(openSocket(loadBinding(), { netnsFd: netns.fd }));
  const commands = [
    'link set lo up',
    'addr add 10.9.9.9/32 dev lo',
    'link add eth0 type veth peer name far0',
    'link add eth1 type veth peer name far1',
    ...['eth0', 'eth1', 'far0', 'far1'].map((link) => `link set ${link} up`),
    'addr add 192.0.2.1/24 dev eth0',
    'addr add 192.0.2.2/24 dev eth0',
    'addr add 192.0.2.3/32 dev eth0',
    'addr add 2001:db8::1/64 dev eth0 nodad',
    'addr add 2001:db8::2/64 dev eth0 nodad',
    'addr add 198.51.100.1/24 dev eth1',
    'addr add 10.8.0.1 peer 10.8.0.2/30 dev eth1',
    'route add default via 192.0.2.254',
    'route add 203.0.113.0/24 via 198.51.100.254 dev eth1 proto static',
    'route add 203.0.113.64/26 via 192.0.2.254 src 192.0.2.2 proto static',
    'route add unreachable 203.0.113.128/26',
    'route add 10.244.7.0/24 via 192.0.2.7 proto 241',
    'route add 10.244.8.0/24 via 192.0.2.8',
    '-6 route add 2001:db8:9::/48 via 2001:db8::fe src 2001:db8::2 proto static',
  ];
  for (const command of commands) await netns.exec('ip', ...command.split(' '));
});
afterAll(() => {
  session.close();
  netns.remove();
});

describe('the way to an address, as the kernel names it', () => {
  const wish: InterfaceWish = { families: [4], iface: [], ifaceRegex: [], nodeIPs: [], networks: [] };
  const reach = (text: string, wanted: Partial<InterfaceWish> = {}) => {
    const target = address(text);
    const found = chooseInterface(observeHost(session, target), {
      ...wish,
      ...wanted,
      ifaceCanReach: target,
    });
    return [found.link.name, found.address ?? found.ipv6Address];
  };

  test.each([
    ['8.8.8.8', {}, ['eth0', '192.0.2.1']],
    ['203.0.113.1', {}, ['eth1', '198.51.100.1']],
    ['203.0.113.65', {}, ['eth0', '192.0.2.2']],
    ['198.51.100.7', {}, ['eth1', '198.51.100.1']],
    ['2001:db8:9::1', { families: [6] }, ['eth0', '2001:db8::2']],
  ] satisfies [string, Partial<InterfaceWish>, unknown][])('%s', (target, wanted, found) => {
    expect(reach(target, wanted)).toEqual(found);
  });

  test.each([
    ['203.0.113.129', 'there is no route to it'],
    ['2001:db8:ffff::1', 'there is no route to it'],
    ['192.0.2.1', 'it is an address of this node itself'],
    ['10.9.9.9', 'it is an address of this node itself'],
  ])('%s: there is none', (target, why) => {
    expect(() => reach(target, { families: target.includes(':') ? [6] : [4] })).toThrow(
      `--iface-can-reach=${target}: ${why}`,
    );
  });

  test('an address on the loopback interface chooses nothing', () => {
    expect(() => chooseInterface(observeHost(session), { ...wish, iface: ['10.9.9.9'] })).toThrow(
      '--iface=10.9.9.9: lo is the loopback interface',
    );
  });
});

test('the networks and routes of a node, without what flannel has made', () => {
  const seen = observeNodeRanges(session).map(
    ({ link, range, address: own }) => `${link} ${range} ${own ?? 'route'}`,
  );
  expect(seen.toSorted()).toEqual(
    [
      'eth0 192.0.2.0/24 192.0.2.1',
      'eth0 192.0.2.0/24 192.0.2.2',
      'eth0 2001:db8::/64 2001:db8::1',
      'eth0 2001:db8::/64 2001:db8::2',
      'eth1 10.8.0.0/30 10.8.0.1',
      'eth1 198.51.100.0/24 198.51.100.1',
      'eth0 203.0.113.64/26 route',
      'eth0 2001:db8:9::/48 route',
      'eth1 203.0.113.0/24 route',
    ].toSorted(),
  );
});
