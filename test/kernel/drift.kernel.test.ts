import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { hostGw } from '../../src/backend/host-gw.ts';
import { peer, self } from '../backend/nodes.ts';
import { parts, TestNode } from './node.ts';

/** What somebody does with iproute2 to objects of ours is undone. */

let node: TestNode;

beforeEach(async () => {
  node = new TestNode();
  await node.plug();
});

afterEach(() => node.remove());

/** What is shown is `expected` before long. */
const becomes = (expected: readonly string[]) =>
  vi.waitFor(async () => expect(await node.shown()).toEqual(expected), { timeout: 5000, interval: 5 });

describe('drift is repaired', () => {
  test.each([
    ['an IPv4 route deleted', 'ip route del 10.244.2.0/24'],
    ['an IPv6 route deleted', 'ip -6 route del fd00:10:244:2::/64'],
    ['an IPv4 neighbour deleted', 'ip neigh del 10.244.2.0 dev flannel.1'],
    ['an IPv6 neighbour deleted', 'ip neigh del fd00:10:244:2:: dev flannel-v6.1'],
    ['an FDB entry deleted', 'bridge fdb del 02:00:00:04:00:02 dev flannel.1'],
    ['the IPv4 address deleted', 'ip addr del 10.244.1.0/32 dev flannel.1'],
    ['the IPv6 address deleted', 'ip addr del fd00:10:244:1::/128 dev flannel-v6.1'],
    ['the IPv4 device set down', 'ip link set flannel.1 down'],
    ['the IPv6 device set down', 'ip link set flannel-v6.1 down'],
    ['the IPv4 device deleted', 'ip link del flannel.1'],
    ['the IPv6 device deleted', 'ip link del flannel-v6.1'],
    ['all routes of the device flushed', 'ip route flush dev flannel.1'],
    [
      'a route with another gateway',
      'ip route replace 10.244.2.0/24 via 10.244.3.0 dev flannel.1 onlink proto 241',
    ],
    ['a route with another protocol', 'ip route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink'],
    [
      'a second route behind ours',
      'ip route append 10.244.2.0/24 via 10.244.3.0 dev flannel.1 onlink proto 241',
    ],
    [
      'a second route before ours',
      'ip route prepend 10.244.2.0/24 via 10.244.3.0 dev flannel.1 onlink proto 241',
    ],
    [
      'an IPv6 route with another gateway',
      'ip -6 route replace fd00:10:244:2::/64 via fd00:10:244:3:: dev flannel-v6.1 onlink',
    ],
    [
      'a route over several next hops',
      'ip route replace 10.244.2.0/24 proto 241 nexthop via 10.244.3.0 dev flannel.1 onlink nexthop via 10.244.2.0 dev flannel.1 onlink',
    ],
    [
      'a route with a source of its own',
      'ip route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink src 10.244.1.0 proto 241',
    ],
    [
      'a route with an MTU of its own',
      'ip route replace 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink mtu 1000 proto 241',
    ],
    ['another MAC for a neighbour', 'ip neigh replace 10.244.2.0 lladdr 02:00:00:00:00:bb dev flannel.1'],
    ['another remote', 'bridge fdb replace 02:00:00:04:00:02 dev flannel.1 dst 192.0.2.99'],
    ['a neighbour too many', 'ip neigh add 10.244.9.0 lladdr 02:00:00:00:00:bb dev flannel.1 nud permanent'],
    ['an FDB entry too many', 'bridge fdb add 02:00:00:00:00:bb dev flannel.1 dst 192.0.2.99'],
    ['an address too many', 'ip addr add 10.244.1.1/24 dev flannel.1'],
    ['a route of ours too many', 'ip route add 10.99.0.0/24 dev eth0 proto 241'],
    ['another MAC of the device', 'ip link set flannel.1 address 02:00:00:00:00:bb'],
    ['learning switched on', 'ip link set flannel.1 type vxlan learning'],
    ['another MTU', 'ip link set flannel.1 mtu 1300'],
  ])('%s', async (_what, command) => {
    await node.keep(parts([2, 3]));
    const before = await node.shown();
    const links = await linksShown();
    await node.netns.exec(...(command.split(' ') as [string, ...string[]]));
    await becomes(before);
    await vi.waitFor(async () => expect(await linksShown()).toEqual(links));
    expect(await node.reconciler.settled()).toMatchObject({ wanted: 16, objects: 16, failed: [] });
    expect(node.reconciler.report().repairs).toBeGreaterThan(0);
    expect(await node.lines('ip route show proto 241 dev eth0')).toEqual([]);
  });

  /** Of both devices, without what changes by itself. */
  async function linksShown() {
    const links = (await node.netns.json('ip', '-d', 'link', 'show')) as {
      ifname: string;
      mtu: number;
      address: string;
      flags: string[];
      linkinfo?: { info_data?: unknown };
    }[];
    return links
      .filter(({ ifname }) => ifname.startsWith('flannel'))
      .map(({ ifname, mtu, address, flags, linkinfo }) => ({ ifname, mtu, address, flags, linkinfo }))
      .toSorted((a, b) => (a.ifname < b.ifname ? -1 : 1));
  }

  test('routes through a device that is not ours, which the kernel drops without a word', async () => {
    const backend = hostGw({ ipv4: true, ipv6: false });
    const plan = (n: number) => backend.planPeer(self, peer(n, { backendType: 'host-gw' }, true));
    await node.keep(new Map([2, 3].map((n) => [`node-${n}`, plan(n)])));
    const before = await node.lines('ip route show proto 241');
    expect(before).toHaveLength(2);
    await node.ip('link set eth0 down');
    expect(await node.lines('ip route show proto 241')).toEqual([]);
    await node.ip('link set eth0 up');
    await vi.waitFor(async () => expect(await node.lines('ip route show proto 241')).toEqual(before), {
      timeout: 5000,
    });
    await node.ip('addr del 192.0.2.1/24 dev eth0');
    await node.ip('addr add 192.0.2.1/24 dev eth0');
    await vi.waitFor(async () => expect(await node.lines('ip route show proto 241')).toEqual(before), {
      timeout: 5000,
    });
  });

  test.each([
    ['deleted', 'link del flannel-v6.1'],
    ['set down', 'link set flannel-v6.1 down'],
  ])('the only device of a network with IPv6 alone %s', async (_what, command) => {
    await node.keep(parts([2, 3], { ipv4: false, ipv6: true }));
    const before = await node.shown();
    expect(before).toHaveLength(7);
    await node.ip(command);
    await becomes(before);
  });

  test('host-gw: routes that lead elsewhere, and an interface that is made anew', async () => {
    const backend = hostGw({ ipv4: true, ipv6: false });
    const plan = (n: number) => backend.planPeer(self, peer(n, { backendType: 'host-gw' }, true));
    await node.keep(new Map([2, 3].map((n) => [`node-${n}`, plan(n)])));
    const routes = () => node.lines('ip route show proto 241');
    const before = await routes();
    for (const command of [
      'route replace 10.244.2.0/24 via 192.0.2.77 proto 241',
      'route append 10.244.2.0/24 via 192.0.2.77 proto 241',
      'route del 10.244.3.0/24',
    ]) {
      await node.ip(command);
      await vi.waitFor(async () => expect(await routes()).toEqual(before), { timeout: 5000, interval: 5 });
    }
    await node.ip('link del eth0');
    expect(await routes()).toEqual([]);
    await node.plug();
    await vi.waitFor(async () => expect(await routes()).toEqual(before), { timeout: 5000 });
    expect(await node.reconciler.settled()).toMatchObject({ objects: 2, failed: [] });
  });

  test('the lower device goes and comes back', async () => {
    await node.keep(parts([2, 3]));
    const before = await node.shown();
    await node.ip('link del eth0');
    await vi.waitFor(() => {
      expect(node.reconciler.report().failed.map(({ why }) => why)).toContainEqual(
        expect.stringMatching(/^cannot add link flannel\.1 .*: there is no link eth0; it is tried again/),
      );
    });
    await node.plug();
    await becomes(before);
    expect(await node.reconciler.settled()).toMatchObject({ wanted: 16, objects: 16, failed: [] });
  });
});
