import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ipip } from '../../src/backend/ipip.ts';
import type { Part } from '../../src/kernel/desired.ts';
import type { KernelObject } from '../../src/kernel/object.ts';
import { address } from '../../src/net/address.ts';
import { prefix } from '../../src/net/prefix.ts';
import { peer, self } from '../backend/nodes.ts';
import { Cluster, until } from '../daemon/cluster.ts';
import { ownership, parts, podNetworks, TestNode } from '../kernel/node.ts';

/** Backends whose devices this machine's own kernel may not have. In the emulated one a process is slow to start. */

const wait = { timeout: 20_000, interval: 20 };
const ipv4 = { ipv4: true, ipv6: false };
const backend = ipip({ directRouting: false }, ipv4);
const as = { backendType: 'ipip' };

const plan = (node = self, n = 2): Map<Part, readonly KernelObject[]> =>
  new Map([
    ['node', backend.planNode(node)],
    [`peer node-${n}`, backend.planPeer(node, peer(n, as))],
  ]);

const own = (node: TestNode) =>
  node.reconciler.own({
    links: new Set(['flannel.ipip', 'flannel.1']),
    networks: podNetworks,
    isFlannelRoute: ownership.isFlannelRoute,
  });

async function keep(node: TestNode, desired: Map<Part, readonly KernelObject[]>): Promise<void> {
  own(node);
  node.reconciler.replaceParts(desired);
  await node.reconciler.start();
  expect(await node.reconciler.settled()).toMatchObject({ failed: [], foreign: [] });
}

describe('ipip', () => {
  let node: TestNode;
  beforeEach(async () => {
    node = new TestNode();
    await node.plug();
  });
  afterEach(() => node.remove());

  const shown = async () => [
    (await node.ip('-d -o link show flannel.ipip'))
      .replace(/^\d+/, '')
      .replaceAll(/ (?:permaddr \S+|qlen \d+|any(?= remote)|ipip(?= remote)|(?=\\))/g, ''),
    (await node.ip('-4 -o addr show dev flannel.ipip')).replace(/^\d+/, ''),
    await node.ip('route show dev flannel.ipip'),
  ];

  test('has the device that Go flannel makes, and is repaired', async () => {
    await keep(node, plan());
    const [link] = (await node.netns.json('ip', '-d', 'link', 'show', 'flannel.ipip')) as object[];
    expect(link).toMatchObject({
      mtu: 1480,
      linkinfo: { info_kind: 'ipip', info_data: { remote: 'any', local: '192.0.2.1', ttl: 0 } },
    });
    const before = await shown();
    expect(before[0]).toContain('nopmtudisc');
    expect(before[1]).toContain('inet 10.244.1.0/32');
    expect(before[2]).toContain('10.244.2.0/24 via 192.0.2.2 proto 241 onlink');
    for (const drift of [
      'link del flannel.ipip',
      'link set flannel.ipip down',
      'link set flannel.ipip mtu 1300',
      'addr flush dev flannel.ipip',
      'link set flannel.ipip type ipip local 192.0.2.77',
      'route del 10.244.2.0/24',
      'route replace 10.244.2.0/24 via 192.0.2.9 dev flannel.ipip onlink',
    ]) {
      await node.ip(drift);
      await vi.waitFor(async () => expect(await shown(), drift).toEqual(before), wait);
    }
    expect(node.reconciler.plan()).toEqual([]);
  });

  test('is adopted from Go flannel; a device with a remote end, or one beneath, is made anew', async () => {
    await node.ip('link add flannel.ipip type ipip local 192.0.2.1 nopmtudisc');
    await node.ip('link set flannel.ipip mtu 1480 up');
    await node.ip('addr add 10.244.1.0/32 dev flannel.ipip');
    await node.ip('route add 10.244.2.0/24 via 192.0.2.2 dev flannel.ipip onlink');
    // A peer that left meanwhile.
    await node.ip('route add 10.244.3.0/24 via 192.0.2.3 dev flannel.ipip onlink');
    const index = async () => (await node.ip('-o link show flannel.ipip')).split(':')[0];
    const before = await index();
    await keep(node, plan());
    expect(await index()).toBe(before);
    expect(await node.lines('ip route show dev flannel.ipip')).toEqual([
      '10.244.2.0/24 via 192.0.2.2 proto 241 onlink',
    ]);
    const good = await shown();
    node.reconciler.close();
    for (const more of ['remote 192.0.2.9', 'dev eth0']) {
      await node.ip('link del flannel.ipip');
      await node.ip(`link add flannel.ipip type ipip local 192.0.2.1 ${more}`);
      const again = new TestNode({}, node.netns);
      await keep(again, plan());
      expect(await shown()).toEqual(good);
      again.reconciler.close();
    }
  });

  test.each<[string, Map<Part, readonly KernelObject[]>, string]>([
    ['ipip', plan(), ''],
    ['vxlan', parts([2], ipv4), 'vxlan'],
  ])(
    '%s takes the place of a flannel.1 of kind wireguard, as older K3s left it',
    async (_to, desired, kind) => {
      await node.ip('link add flannel.1 type wireguard');
      await node.ip('addr add 10.244.1.0/32 dev flannel.1');
      await node.ip('link set flannel.1 up');
      await node.ip('route add 10.244.0.0/16 dev flannel.1 scope link');
      await keep(node, desired);
      expect(await node.ip('-d link show type wireguard')).toBe('');
      expect(await node.ip('route')).not.toContain('10.244.0.0/16');
      const links = await node.ip('-d link show');
      expect(links.includes(' vxlan id 1 ')).toBe(kind === 'vxlan');
    },
  );
});

test('two nodes reach each other through ipip, up to the MTU and not beyond', async () => {
  const one = new TestNode();
  const other = new TestNode();
  try {
    await one.ip(`link add eth0 type veth peer name eth0 netns ${other.netns.name}`);
    for (const [n, node] of [one, other].entries()) {
      await node.ip(`addr add 192.0.2.${n + 1}/24 dev eth0`);
      await node.ip('link set eth0 up');
    }
    const second = {
      ...self,
      lease: { ...self.lease, id: 'node-2', subnet: prefix('10.244.2.0/24') },
      external: { ...self.external, address: address('192.0.2.2'), publicIP: address('192.0.2.2') },
    };
    await keep(one, plan(self, 2));
    await keep(other, plan(second, 1));
    const ping = (bytes: number) =>
      one.netns.exec('ping', '-Mdo', '-c1', '-W9', '-s', `${bytes - 28}`, '10.244.2.0');
    expect(await ping(1480)).toContain(' 0% packet loss');
    await expect(ping(1481)).rejects.toThrow(/too long/);
  } finally {
    await one.remove();
    await other.remove();
  }
});

test('flanneld changes from one backend to the other, and leaves nothing', async () => {
  const cluster = await Cluster.start('v4', 1);
  try {
    for (const [type, devices, routes] of [
      ['vxlan', ['flannel.1'], ['flannel.1']],
      ['wireguard', ['flannel-wg'], []],
      ['ipip', ['flannel.ipip'], ['flannel.ipip']],
      ['host-gw', [], ['eth0']],
    ] as const) {
      cluster.useBackend({ Type: type });
      const data = {
        VNI: 1,
        VtepMAC: '02:00:00:00:00:02',
        PublicKey: '3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=',
      };
      const lease = {
        Subnet: '10.244.200.0/24',
        PublicIP: '192.0.2.2',
        BackendType: type,
        BackendData: data,
      };
      fs.mkdirSync(cluster.file('leases'), { recursive: true });
      fs.writeFileSync(cluster.file('leases/peer.json'), JSON.stringify(lease));
      await cluster.run(0, {}, 60_000);
      const expected = JSON.stringify({ devices, routes });
      await until(async () => JSON.stringify(await cluster.traces(0)) === expected, 30_000);
      await cluster.end(0, 'SIGTERM');
    }
  } finally {
    await cluster.stop();
  }
});
