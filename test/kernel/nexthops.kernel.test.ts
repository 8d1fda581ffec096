import { afterEach, beforeEach, expect, test } from 'vitest';
import { byNexthops } from '../../src/backend/nexthops.ts';
import type { Part } from '../../src/kernel/desired.ts';
import { type KernelObject, ourProtocol } from '../../src/kernel/object.ts';
import { address } from '../../src/net/address.ts';
import { prefix } from '../../src/net/prefix.ts';
import { parts, TestNode } from './node.ts';

/** Next-hop objects in the kernel itself, seen with iproute2. */

let node: TestNode;

beforeEach(async () => {
  node = new TestNode();
  await node.plug();
});

afterEach(() => node.remove());

const ipv4 = { ipv4: true, ipv6: false };

function hopParts(peers: readonly number[]): Map<Part, readonly KernelObject[]> {
  const plain = parts(peers, ipv4);
  return new Map([...plain].map(([part, objects]) => [part, byNexthops(objects)]));
}

const hops = () => node.lines('ip nexthop show');
const routes = () => node.lines('ip route show proto 241');

const [hop2, hop3] = [0x0af4_0200, 0x0af4_0300];
const allHops = [
  `id ${hop2} via 10.244.2.0 dev flannel.1 scope link proto 241 onlink`,
  `id ${hop3} via 10.244.3.0 dev flannel.1 scope link proto 241 onlink`,
];
const allRoutes = [
  `10.244.2.0/24 nhid ${hop2} via 10.244.2.0 dev flannel.1 onlink`,
  `10.244.3.0/24 nhid ${hop3} via 10.244.3.0 dev flannel.1 onlink`,
];
const plainRoutes = [
  '10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink',
  '10.244.3.0/24 via 10.244.3.0 dev flannel.1 onlink',
];

test('a route goes by the next hop that has the number of its gateway', async () => {
  const report = await node.keep(hopParts([2, 3]));
  expect(report).toMatchObject({ failed: [], foreign: [] });
  expect(report.objects).toBe(report.wanted);
  expect(await hops()).toEqual(allHops);
  expect(await routes()).toEqual(allRoutes);
});

test('a next hop that somebody deletes, with its route, and a device that was down: all is back', async () => {
  await node.keep(hopParts([2, 3]));
  await node.ip(`nexthop del id ${hop2}`);
  await expect.poll(hops).toEqual(allHops);
  await expect.poll(routes).toEqual(allRoutes);
  await node.ip('link set flannel.1 down');
  await expect.poll(hops).toEqual(allHops);
  await expect.poll(routes).toEqual(allRoutes);
});

test('a device that loses its carrier loses its next hops, without a word: they are back with it', async () => {
  const direct = (n: number): KernelObject => ({
    kind: 'route',
    destination: prefix(`10.244.${n}.0/24`),
    metric: 0,
    gateway: address(`192.0.2.${n}`),
    link: 'eth0',
    onlink: true,
    protocol: ourProtocol,
  });
  const report = await node.keep(new Map([['peer node-2', byNexthops([direct(2)])]]));
  expect(report).toMatchObject({ failed: [], foreign: [] });
  const before = [await hops(), await routes()];
  await node.ip('link set wire down');
  await expect.poll(hops).toEqual([]);
  await node.ip('link set wire up');
  await expect.poll(async () => [await hops(), await routes()]).toEqual(before);
});

test('a peer that leaves takes its next hop with it', async () => {
  await node.keep(hopParts([2, 3]));
  node.reconciler.removePart('peer node-3');
  await node.reconciler.settled();
  expect(await hops()).toEqual(allHops.slice(0, 1));
  expect(await routes()).toEqual(allRoutes.slice(0, 1));
});

test('plain routes become routes by next hops, and again plain ones, without a moment in which one is missing', async () => {
  await node.keep(parts([2, 3], ipv4));
  const announced = node.watch('ip', 'monitor', 'route');
  await announced.ready;
  node.reconciler.replaceParts(hopParts([2, 3]));
  await node.reconciler.settled();
  expect(await routes()).toEqual(allRoutes);
  node.reconciler.replaceParts(parts([2, 3], ipv4));
  await node.reconciler.settled();
  expect(await routes()).toEqual(plainRoutes);
  expect(await hops()).toEqual([]);
  expect(await announced.stop()).not.toContain('Deleted');
});

test("another program's next hop of the same number stays, and no route goes by it", async () => {
  await node.ip(`nexthop add id ${hop2} via 192.0.2.7 dev eth0 proto 77`);
  const report = await node.keep(hopParts([2, 3]));
  expect(report.foreign).toHaveLength(1);
  expect(await hops()).toEqual([`id ${hop2} via 192.0.2.7 dev eth0 scope link proto 77`, allHops[1]]);
  expect(await routes()).toEqual(allRoutes.slice(1));
});
