import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { hostGw } from '../../src/backend/host-gw.ts';
import { vxlan } from '../../src/backend/vxlan.ts';
import { vxlanOptions } from '../../src/backend/vxlan-options.ts';
import { peer, self } from '../backend/nodes.ts';
import { bothFamilies, parts, TestNode } from './node.ts';

let node: TestNode;
beforeEach(async () => {
  node = new TestNode();
  await node.plug();
});
afterEach(() => node.remove());

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
