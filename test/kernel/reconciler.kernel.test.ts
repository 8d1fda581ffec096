import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { vxlan } from '../../src/backend/vxlan.ts';
import { vxlanOptions } from '../../src/backend/vxlan-options.ts';
import { ourProtocol } from '../../src/kernel/object.ts';
import { describe as describeOperation } from '../../src/kernel/operation.ts';
import { prefix } from '../../src/net/prefix.ts';
import { macOf, peer, self } from '../backend/nodes.ts';
import { bothFamilies, ownership, parts, TestNode } from './node.ts';

/** The reconciler upon the kernel itself, seen with iproute2. */

let node: TestNode;
beforeEach(async () => {
  node = new TestNode();
  await node.plug();
});
afterEach(() => node.remove());

describe('vxlan in the kernel', () => {
  test('dual-stack: devices, addresses, neighbours, FDB entries and routes as flannel has them', async () => {
    const report = await node.keep(parts([2, 3]));
    expect(report).toMatchObject({ wanted: 16, objects: 16, failed: [], foreign: [], repairs: 0 });
    expect(await node.shown()).toEqual([
      'flannel.1 inet 10.244.1.0/32 scope global flannel.1',
      'flannel-v6.1 inet6 fd00:10:244:1::/128 scope global nodad',
      '10.244.2.0 dev flannel.1 lladdr 02:00:00:04:00:02 PERMANENT',
      '10.244.3.0 dev flannel.1 lladdr 02:00:00:04:00:03 PERMANENT',
      'fd00:10:244:2:: dev flannel-v6.1 lladdr 02:00:00:06:00:02 PERMANENT',
      'fd00:10:244:3:: dev flannel-v6.1 lladdr 02:00:00:06:00:03 PERMANENT',
      '02:00:00:04:00:02 dev flannel.1 dst 192.0.2.2 self permanent',
      '02:00:00:04:00:03 dev flannel.1 dst 192.0.2.3 self permanent',
      '02:00:00:06:00:02 dev flannel-v6.1 dst 2001:db8::2 self permanent',
      '02:00:00:06:00:03 dev flannel-v6.1 dst 2001:db8::3 self permanent',
      '10.244.2.0/24 via 10.244.2.0 dev flannel.1 proto 241 onlink',
      '10.244.3.0/24 via 10.244.3.0 dev flannel.1 proto 241 onlink',
      'fd00:10:244:2::/64 via fd00:10:244:2:: dev flannel-v6.1 proto 241 metric 1024 onlink pref medium',
      'fd00:10:244:3::/64 via fd00:10:244:3:: dev flannel-v6.1 proto 241 metric 1024 onlink pref medium',
    ]);
    expect(await node.netns.json('ip', '-d', 'link', 'show', 'type', 'vxlan')).toMatchObject([
      {
        ifname: 'flannel.1',
        mtu: 1450,
        address: macOf(1, 4),
        flags: expect.arrayContaining(['UP']),
        linkinfo: {
          info_data: {
            id: 1,
            local: '192.0.2.1',
            link: 'eth0',
            port: 8472,
            learning: false,
            udp_csum: true,
            udp_zero_csum6_tx: false,
            udp_zero_csum6_rx: false,
          },
        },
      },
      {
        ifname: 'flannel-v6.1',
        mtu: 1430,
        address: macOf(1, 6),
        linkinfo: { info_data: { id: 1, local6: '2001:db8::1', port: 8472 } },
      },
    ]);
    expect(node.reconciler.plan()).toEqual([]);
  });

  test.each([
    ['IPv4', { ipv4: true, ipv6: false }, ['flannel.1']],
    ['IPv6', { ipv4: false, ipv6: true }, ['flannel-v6.1']],
  ])('%s alone makes only its own device', async (_family, families, devices) => {
    await node.keep(parts([2], families));
    const links = (await node.netns.json('ip', 'link', 'show', 'type', 'vxlan')) as { ifname: string }[];
    expect(links.map(({ ifname }) => ifname)).toEqual(devices);
    expect(node.reconciler.plan()).toEqual([]);
  });

  test('VNI, port, learning and GBP are those that are configured', async () => {
    node.reconciler.own({ ...ownership, links: new Set(['flannel.7', 'flannel-v6.7']) });
    node.reconciler.replaceParts(parts([2], bothFamilies, { vni: 7, port: 4789, learning: true, gbp: true }));
    await node.reconciler.start();
    expect(await node.reconciler.settled()).toMatchObject({ failed: [] });
    const [link] = (await node.netns.json('ip', '-d', 'link', 'show', 'flannel.7')) as object[];
    expect(link).toMatchObject({ linkinfo: { info_data: { id: 7, port: 4789, learning: true, gbp: true } } });
    expect(node.reconciler.plan()).toEqual([]);
  });

  test('a peer that changes is followed, and one that goes takes its entries along', async () => {
    await node.keep(parts([2, 3]));
    const backend = vxlan(vxlanOptions({}), bothFamilies);
    const changed = peer(2, { backendData: { VNI: 1, VtepMAC: '02:00:00:00:00:aa' } });
    node.reconciler.setPart('peer node-2', backend.planPeer(self, changed));
    node.reconciler.removePart('peer node-3');
    expect(await node.reconciler.settled()).toMatchObject({ wanted: 10, objects: 10, repairs: 0 });
    expect(await node.shown()).toEqual([
      'flannel.1 inet 10.244.1.0/32 scope global flannel.1',
      'flannel-v6.1 inet6 fd00:10:244:1::/128 scope global nodad',
      '10.244.2.0 dev flannel.1 lladdr 02:00:00:00:00:aa PERMANENT',
      'fd00:10:244:2:: dev flannel-v6.1 lladdr 02:00:00:06:00:02 PERMANENT',
      '02:00:00:00:00:aa dev flannel.1 dst 192.0.2.2 self permanent',
      '02:00:00:06:00:02 dev flannel-v6.1 dst 2001:db8::2 self permanent',
      '10.244.2.0/24 via 10.244.2.0 dev flannel.1 proto 241 onlink',
      'fd00:10:244:2::/64 via fd00:10:244:2:: dev flannel-v6.1 proto 241 metric 1024 onlink pref medium',
    ]);
  });

  test('direct routing comes and goes, in both families', async () => {
    await node.keep(parts([2]));
    const before = await node.shown();
    const backend = vxlan(vxlanOptions({ DirectRouting: true }), bothFamilies);
    node.reconciler.setPart('peer node-2', backend.planPeer(self, peer(2, {}, true)));
    expect(await node.reconciler.settled()).toMatchObject({ wanted: 6, failed: [] });
    expect(await node.lines('ip route show 10.244.2.0/24')).toEqual([
      '10.244.2.0/24 via 192.0.2.2 dev eth0 proto 241',
    ]);
    expect(await node.lines('ip -6 route show fd00:10:244:2::/64')).toEqual([
      'fd00:10:244:2::/64 via 2001:db8::2 dev eth0 proto 241 metric 1024 pref medium',
    ]);
    expect(await node.lines('bridge fdb show dev flannel.1')).toEqual([]);
    await vi.waitFor(() => expect(node.reconciler.plan()).toEqual([]));
    node.reconciler.setPart('peer node-2', backend.planPeer(self, peer(2, {}, false)));
    expect(await node.reconciler.settled()).toMatchObject({ failed: [] });
    expect(await node.shown()).toEqual(before);
  });

  test('a dry run tells, and touches nothing', async () => {
    const dry = new TestNode({ dryRun: true });
    try {
      await dry.plug();
      dry.reconciler.own(ownership);
      dry.reconciler.replaceParts(parts([2], { ipv4: true, ipv6: false }));
      await dry.reconciler.start();
      await dry.reconciler.settled();
      expect(dry.reconciler.plan().map(describeOperation)).toEqual([
        `add link flannel.1 address ${macOf(1, 4)} mtu 1450 vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning`,
        'add address 10.244.1.0/32 dev flannel.1',
        'add neighbour 10.244.2.0 lladdr 02:00:00:04:00:02 dev flannel.1',
        'add fdb 02:00:00:04:00:02 dst 192.0.2.2 dev flannel.1',
        'add route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink',
      ]);
      expect(await dry.lines('ip -o link show type vxlan')).toEqual([]);
    } finally {
      await dry.remove();
    }
  });
});

describe('a blackhole for the own subnet', () => {
  const subnets = [prefix('10.244.1.0/24'), prefix('fd00:10:244:1::/64')];
  const blackholes = subnets.map((destination) => ({
    kind: 'route' as const,
    type: 'blackhole' as const,
    destination,
    metric: 1024,
    onlink: false,
    protocol: ourProtocol,
  }));
  const shown = async () => [
    ...(await node.lines('ip route show type blackhole')),
    ...(await node.lines('ip -6 route show type blackhole')),
  ];
  const right = [
    'blackhole 10.244.1.0/24 proto 241 metric 1024',
    'blackhole fd00:10:244:1::/64 dev lo proto 241 metric 1024 pref medium',
  ];

  test("takes the place of Go flannel's, leaves the bridge's route alone, is back when deleted, and goes", async () => {
    await node.ip('route add blackhole 10.244.1.0/24');
    await node.ip('-6 route add blackhole fd00:10:244:1::/64');
    node.reconciler.own({ ...ownership, blackholes: subnets });
    node.reconciler.replaceParts(new Map([['node', blackholes]]));
    await node.reconciler.start();
    expect(await node.reconciler.settled()).toMatchObject({ failed: [], foreign: [] });
    expect(await shown()).toEqual(right);
    await node.ip('link add cni0 type bridge');
    await node.ip('addr add 10.244.1.1/24 dev cni0');
    await node.ip('link set cni0 up');
    expect(await node.ip('route get 10.244.1.9')).toContain('dev cni0');
    await node.ip('route del blackhole 10.244.1.0/24');
    await node.ip('-6 route del blackhole fd00:10:244:1::/64');
    await vi.waitFor(async () => expect(await shown()).toEqual(right));
    node.reconciler.replaceParts(new Map());
    await node.reconciler.settled();
    await vi.waitFor(async () => expect(await shown()).toEqual([]));
  });
});
