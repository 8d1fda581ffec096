import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { hostGw } from '../../src/backend/host-gw.ts';
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

  test('VNI, port, learning and GBP', async () => {
    node.reconciler.own({ ...ownership, links: new Set(['flannel.7', 'flannel-v6.7']) });
    node.reconciler.replaceParts(parts([2], bothFamilies, { vni: 7, port: 4789, learning: true, gbp: true }));
    await node.reconciler.start();
    expect(await node.reconciler.settled()).toMatchObject({ failed: [] });
    const [link] = (await node.netns.json('ip', '-d', 'link', 'show', 'flannel.7')) as object[];
    expect(link).toMatchObject({ linkinfo: { info_data: { id: 7, port: 4789, learning: true, gbp: true } } });
    expect(node.reconciler.plan()).toEqual([]);
  });

  test('a peer that changes, and one that goes', async () => {
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

describe('what is not ours', () => {
  test('a foreign route in the way stays, is reported, and the rest goes on', async () => {
    await node.ip('route add 10.244.2.0/24 via 192.0.2.77 proto static');
    await node.ip('route add blackhole 10.244.3.0/24');
    const report = await node.keep(parts([2, 3, 4]));
    expect(report).toMatchObject({
      wanted: 22,
      objects: 20,
      failed: [],
      foreign: [
        'route 10.244.2.0/24 via 192.0.2.77 dev eth0 proto 4',
        'route blackhole 10.244.3.0/24 proto boot',
      ],
    });
    expect(await node.lines('ip route show 10.244.2.0/24')).toEqual([
      '10.244.2.0/24 via 192.0.2.77 dev eth0 proto static',
    ]);
    await node.ip('route del 10.244.2.0/24');
    await vi.waitFor(async () =>
      expect(await node.lines('ip route show 10.244.2.0/24')).toEqual([
        '10.244.2.0/24 via 10.244.2.0 dev flannel.1 proto 241 onlink',
      ]),
    );
    expect((await node.reconciler.settled()).foreign).toHaveLength(1);
  });

  test('a peer’s IPv6 subnet that leads elsewhere costs nobody else anything, and is back when that has gone', async () => {
    await node.ip('-6 route add fd00:10:244:2::/64 dev eth0 proto static');
    const report = await node.keep(parts([2, 3, 4]));
    expect(report.wanted - report.objects).toBe(report.failed.length + report.foreign.length);
    const routes = async () =>
      (await node.lines('ip -6 route show proto 241')).map((line) => line.split(' ', 1)[0]);
    expect(await routes()).toEqual(['fd00:10:244:3::/64', 'fd00:10:244:4::/64']);
    expect(await node.lines('ip route show proto 241')).toHaveLength(3);
    expect([...report.failed.map(({ what }) => what), ...report.foreign].join()).toContain('fd00:10:244:2::');
    await node.ip('-6 route del fd00:10:244:2::/64 dev eth0 proto static');
    await vi.waitFor(async () => expect(await routes()).toHaveLength(3), { timeout: 5000 });
  });

  test('one that appears for a peer to come is found when the peer comes', async () => {
    await node.keep(parts([2]));
    await node.ip('route add 10.244.3.0/24 via 192.0.2.77 proto static');
    const backend = vxlan(vxlanOptions({}), bothFamilies);
    node.reconciler.setPart('peer node-3', backend.planPeer(self, peer(3)));
    expect(await node.reconciler.settled()).toMatchObject({
      failed: [],
      foreign: ['route 10.244.3.0/24 via 192.0.2.77 dev eth0 proto 4'],
    });
    node.reconciler.removePart('peer node-3');
    expect(await node.reconciler.settled()).toMatchObject({
      failed: [],
      foreign: [],
      wanted: 10,
      objects: 10,
    });
    expect(await node.lines('ip route show proto static')).toEqual(['10.244.3.0/24 via 192.0.2.77 dev eth0']);
  });

  test('addresses outside the pod network, other devices and their routes stay', async () => {
    await node.ip('link add cni0 type bridge');
    await node.ip('link set cni0 up');
    await node.ip('addr add 10.244.1.1/24 dev cni0');
    await node.ip('link add vxlan9 type vxlan id 9 dev eth0 dstport 4789');
    await node.ip('link set vxlan9 up');
    await node.netns.exec('bridge', 'fdb', 'add', '02:00:00:00:00:bb', 'dev', 'vxlan9', 'dst', '192.0.2.9');
    await node.keep(parts([2]));
    await node.ip('addr add 198.51.100.1/32 dev flannel.1');
    await node.reconciler.settled();
    expect(await node.lines('ip -o -4 addr show to 198.51.100.1')).toHaveLength(1);
    expect(await node.lines('ip route show dev cni0')).toEqual([
      expect.stringMatching(/^10\.244\.1\.0\/24 proto kernel scope link src 10\.244\.1\.1/),
    ]);
    expect(await node.lines('bridge fdb show dev vxlan9')).toContain(
      '02:00:00:00:00:bb dst 192.0.2.9 self permanent',
    );
    expect(node.reconciler.plan()).toEqual([]);
  });

  test('another vxlan device has our VNI and port: a sentence says so, and all comes when it goes', async () => {
    await node.ip('link add thief type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472');
    const report = await node.keep(parts([2], { ipv4: true, ipv6: false }));
    expect(report).toMatchObject({ wanted: 5, objects: 0 });
    expect(report.failed.map(({ why }) => why)).toEqual([
      expect.stringMatching(
        /^cannot add link flannel\.1 .*: the kernel says EEXIST, .*; another vxlan device has VNI 1 and port 8472: find it/,
      ),
    ]);
    await node.ip('link del thief');
    await vi.waitFor(() => expect(node.reconciler.report()).toMatchObject({ objects: 5, failed: [] }), {
      timeout: 5000,
    });
  });

  test('a peer that the kernel refuses delays no other', async () => {
    const backend = hostGw({ ipv4: true, ipv6: false });
    const plan = (n: number) =>
      backend.planPeer(
        self,
        peer(
          n,
          { backendType: 'host-gw', ...(n === 3 ? { publicIP: peer(777).lease.attributes.publicIP } : {}) },
          true,
        ),
      );
    const report = await node.keep(new Map([2, 3, 4].map((n) => [`node-${n}`, plan(n)])));
    expect(report.failed.map(({ why }) => why)).toEqual([
      'cannot add route 10.244.3.0/24 via 192.0.5.9 dev eth0: the kernel says ENETUNREACH, "Nexthop has invalid gateway"; ' +
        'no link of this node reaches 192.0.5.9 directly: see "ip route get 192.0.5.9"',
    ]);
    expect(await node.lines('ip route show proto 241')).toEqual([
      '10.244.2.0/24 via 192.0.2.2 dev eth0',
      '10.244.4.0/24 via 192.0.2.4 dev eth0',
    ]);
    await node.ip('addr add 192.0.5.1/24 dev eth0');
    await vi.waitFor(async () => expect(await node.lines('ip route show proto 241')).toHaveLength(3), {
      timeout: 5000,
    });
  });
});

describe('what is there already', () => {
  const vxlanAs = (name: string, local: string, more = '') =>
    node.ip(`link add ${name} type vxlan id 1 dev eth0 local ${local} dstport 8472 nolearning${more}`);

  /** As Go flannel leaves it: peers 2 and 3, routes of protocol boot. */
  async function goFlannel() {
    await vxlanAs('flannel.1', '192.0.2.1');
    await vxlanAs('flannel-v6.1', '2001:db8::1');
    await node.ip(`link set flannel.1 mtu 1450 address ${macOf(1, 4)} up`);
    await node.ip(`link set flannel-v6.1 mtu 1430 address ${macOf(1, 6)} up`);
    await node.ip('addr add 10.244.1.0/32 dev flannel.1');
    await node.ip('addr add fd00:10:244:1::/128 dev flannel-v6.1 nodad');
    for (const n of [2, 3]) {
      await node.ip(`neigh add 10.244.${n}.0 lladdr ${macOf(n, 4)} dev flannel.1 nud permanent`);
      await node.netns.exec('bridge', 'fdb', 'add', macOf(n, 4), 'dev', 'flannel.1', 'dst', `192.0.2.${n}`);
      await node.ip(`route add 10.244.${n}.0/24 via 10.244.${n}.0 dev flannel.1 onlink`);
      await node.ip(`neigh add fd00:10:244:${n}:: lladdr ${macOf(n, 6)} dev flannel-v6.1 nud permanent`);
      await node.netns.exec(
        'bridge',
        'fdb',
        'add',
        macOf(n, 6),
        'dev',
        'flannel-v6.1',
        'dst',
        `2001:db8::${n}`,
      );
      await node.ip(`-6 route add fd00:10:244:${n}::/64 via fd00:10:244:${n}:: dev flannel-v6.1 onlink`);
    }
  }

  const indexes = async () =>
    ((await node.netns.json('ip', 'link', 'show', 'type', 'vxlan')) as { ifindex: number }[]).map(
      ({ ifindex }) => ifindex,
    );

  test('is adopted from Go flannel: the same devices, and each route replaced in one step', async () => {
    await goFlannel();
    const before = await indexes();
    node.reconciler.own(ownership);
    node.reconciler.replaceParts(parts([2, 3]));
    const monitor = node.watch('ip', 'monitor', 'route', 'neigh', 'address', 'link');
    await monitor.ready;
    await node.reconciler.start();
    expect(await node.reconciler.settled()).toMatchObject({
      objects: 16,
      failed: [],
      foreign: [],
      repairs: 0,
    });
    expect(await indexes()).toEqual(before);
    expect(await node.lines('ip route show proto 241')).toHaveLength(2);
    expect(await node.lines('ip -6 route show proto 241')).toHaveLength(2);
    expect(await node.lines('ip route show proto boot')).toEqual([]);
    const events = await monitor.stop();
    expect(events).toContain('10.244.2.0/24 via 10.244.2.0 dev flannel.1 proto 241 onlink');
    expect(events).not.toContain('Deleted');
  });

  test('goes when it is a peer’s that left meanwhile, and only when all peers are known', async () => {
    await goFlannel();
    const all = parts([2]);
    node.reconciler.own(ownership);
    for (const [part, objects] of all) node.reconciler.setPart(part, objects);
    await node.reconciler.start();
    await node.reconciler.settled();
    expect(await node.lines('ip route show 10.244.3.0/24')).toHaveLength(1);
    node.reconciler.replaceParts(all);
    await node.reconciler.settled();
    expect((await node.shown()).filter((line) => /10\.244\.3|00:03/.test(line))).toEqual([]);
    expect(await node.shown()).toHaveLength(8);
  });

  test.each([
    ['VNI', 'type vxlan id 2 dev eth0 local 192.0.2.1 dstport 8472 nolearning'],
    ['port', 'type vxlan id 1 dev eth0 local 192.0.2.1 dstport 4789 nolearning'],
    ['GBP', 'type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472 nolearning gbp'],
    ['family', 'type vxlan id 1 dev eth0 local 2001:db8::1 dstport 8472 nolearning'],
    ['group', 'type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472 nolearning group 239.1.1.1'],
    ['habit: proxy', 'type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472 nolearning proxy'],
    ['habit: l2miss', 'type vxlan id 1 dev eth0 local 192.0.2.1 dstport 8472 nolearning l2miss'],
    ['habit: external', 'type vxlan dev eth0 dstport 8472 external'],
    ['kind', 'type bridge'],
  ])('a device with another %s is made anew', async (_what, how) => {
    await node.ip(`link add flannel.1 ${how}`);
    await node.ip('link set flannel.1 up');
    await node.ip('addr add 10.244.1.0/32 dev flannel.1');
    const report = await node.keep(parts([2, 3]));
    expect(report).toMatchObject({ wanted: 16, objects: 16, failed: [] });
    expect(node.reconciler.plan()).toEqual([]);
    expect((await node.shown()).length).toBe(14);
  });

  test.each([
    ['source', 'local 192.0.2.50 dev eth0 nolearning'],
    ['lower device', 'local 192.0.2.1 dev wire nolearning'],
    ['habit: learning', 'local 192.0.2.1 dev eth0 learning'],
  ])('a device with another %s keeps all that is on it while it is changed', async (_what, how) => {
    await goFlannel();
    await node.ip(`link set flannel.1 type vxlan id 1 ${how}`);
    const before = await indexes();
    const monitor = node.watch('ip', 'monitor', 'route', 'neigh', 'address', 'link');
    await monitor.ready;
    expect(await node.keep(parts([2, 3]))).toMatchObject({ objects: 16, failed: [] });
    expect(node.reconciler.plan()).toEqual([]);
    expect(await indexes()).toEqual(before);
    expect(await monitor.stop()).not.toContain('Deleted');
  });

  test('a device that no family wants any more goes as a whole', async () => {
    await goFlannel();
    await node.keep(parts([2, 3], { ipv4: true, ipv6: false }));
    expect(await node.lines('ip -o link show type vxlan')).toHaveLength(1);
  });
});
