import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { macOf } from '../backend/nodes.ts';
import { silentLog } from '../../src/world/log.ts';
import { ownership, parts, TestNode } from './node.ts';

let node: TestNode;
let warnings: string[];
beforeEach(async () => {
  warnings = [];
  node = new TestNode({ log: { ...silentLog, warn: (_fields, message) => void warnings.push(message) } });
  await node.plug();
});
afterEach(() => node.remove());

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

  test('a device of another kind under the name is replaced, as by Go flannel, and the log says what is lost', async () => {
    await node.ip('link add flannel.1 type bridge');
    await node.ip('link add tap8 type veth peer name tap9');
    await node.ip('link set tap8 master flannel.1');
    await node.ip('addr add 172.20.0.1/16 dev flannel.1');
    expect(await node.keep(parts([2, 3]))).toMatchObject({ objects: 16, failed: [] });
    expect(warnings).toEqual([
      expect.stringMatching(
        /^removed link flannel\.1 of bridge kind, with 1 port \(tap8\) and 1 address \(172\.20\.0\.1\/16\): in its place is link flannel\.1 .* vxlan id 1 /,
      ),
    ]);
  });

  test('a device that no family wants any more goes as a whole', async () => {
    await goFlannel();
    await node.keep(parts([2, 3], { ipv4: true, ipv6: false }));
    expect(await node.lines('ip -o link show type vxlan')).toHaveLength(1);
  });
});
