import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Result } from '../../src/cni/result.ts';
import { sweep } from '../../src/cni/records/sweep.ts';
import type { World } from '../../src/cni/world.ts';
import { grace } from '../../src/ipam/sweep.ts';
import { systemClock } from '../../src/world/clock.ts';
import { addressesIn, type Json, nothing, TestNode } from './test-node.ts';

describe('ADD', () => {
  test('attaches a pod in both families, and DEL takes it away', async () => {
    const node = new TestNode();
    const pod = node.pod();
    const result = (await node.ok('ADD', pod)) as unknown as Result;
    expect(result.interfaces.map(({ name, sandbox }) => [name, sandbox])).toEqual([
      ['cni0', undefined],
      [expect.stringMatching(/^veth[0-9a-f]{8}$/), undefined],
      ['eth0', pod.path],
    ]);
    expect(result.ips).toEqual([
      { address: '10.244.1.2/24', gateway: '10.244.1.1', interface: 2 },
      { address: 'fd00:244:0:1::2/64', gateway: 'fd00:244:0:1::1', interface: 2 },
    ]);
    expect(await addressesIn(node.host, 'cni0')).toEqual(['10.244.1.1/24', 'fd00:244:0:1::1/64']);
    expect(await addressesIn(pod, 'eth0')).toEqual(['10.244.1.2/24', 'fd00:244:0:1::2/64']);
    await pod.exec('ping', '-c1', '-W2', '10.244.1.1');
    await pod.exec('ping', '-c1', '-W2', 'fd00:244:0:1::1');
    expect(fs.readFileSync(path.join(node.addresses, '10.244.1.2'), 'utf8')).toBe('c1\r\neth0');

    await node.ok('DEL', pod);
    expect(await node.leftovers()).toEqual(nothing);
    expect(await pod.json('ip', 'link', 'show', 'type', 'veth')).toEqual([]);
  });

  test('gives links the MACs that it answers, and no tentative address', async () => {
    const node = new TestNode();
    const pod = node.pod();
    const { interfaces } = (await node.ok('ADD', pod)) as unknown as Result;
    const macOf = async (netns: typeof pod, link: string) =>
      ((await netns.json('ip', 'link', 'show', 'dev', link)) as { address: string }[])[0]?.address;
    expect(interfaces.map(({ mac }) => mac)).toEqual([
      await macOf(node.host, 'cni0'),
      await macOf(node.host, interfaces[1]?.name ?? ''),
      await macOf(pod, 'eth0'),
    ]);
    expect(await pod.exec('ip', '-6', 'addr', 'show', 'dev', 'eth0', 'scope', 'global')).not.toMatch(
      /tentative/,
    );
  });

  test('the first pod is reached over IPv6 at once: the bridge has an address to ask from', async () => {
    const node = new TestNode();
    await node.ok('ADD', node.pod());
    const shown = await node.host.exec('ip', '-6', 'addr', 'show', 'dev', 'cni0');
    expect(shown).toMatch(/inet6 fe80::.* scope link/);
    expect(shown).not.toContain('tentative');
  });

  test('with hairpin, promiscuous mode, isolation and MTU as the delegate says', async () => {
    const node = new TestNode();
    const pod = node.pod();
    const delegate = { hairpinMode: false, promiscMode: true, portIsolation: true, mtu: 1300 };
    await node.ok('ADD', pod, node.delegate(delegate));
    const [veth] = await node.veths();
    const shown = await node.host.exec('ip', '-d', 'link', 'show', 'dev', veth ?? '');
    expect(shown).toMatch(/hairpin off .*isolated on/);
    expect(shown).toMatch(/mtu 1300/);
    expect(await pod.exec('ip', 'link', 'show', 'dev', 'eth0')).toMatch(/mtu 1300/);
    expect(await node.host.exec('ip', 'link', 'show', 'dev', 'cni0')).toMatch(/PROMISC/);
  });

  test('IPv6 routes to other nodes carry the MTU of what leads there', async () => {
    const node = new TestNode({ ipv6RouteMtu: 1430 });
    const pod = node.pod();
    await node.ok('ADD', pod);
    expect(await pod.exec('ip', '-6', 'route', 'show', 'fd00:244::/56')).toMatch(/mtu 1430/);
    expect(await pod.exec('ip', '-6', 'route', 'show', 'default')).not.toMatch(/mtu/);
    expect(await pod.exec('ip', 'route')).not.toMatch(/mtu/);
  });

  test('works in a pod that has IPv6 off', async () => {
    const node = new TestNode();
    const pod = node.pod();
    await pod.exec(
      'sysctl',
      '-qw',
      'net.ipv6.conf.all.disable_ipv6=1',
      'net.ipv6.conf.default.disable_ipv6=1',
    );
    await node.ok('ADD', pod);
    expect(await addressesIn(pod, 'eth0')).toContain('fd00:244:0:1::2/64');
  });

  test('keeps the MAC of the bridge while pods come and go', async () => {
    const node = new TestNode();
    const [first, second] = [node.pod(), node.pod()];
    const { interfaces } = (await node.ok('ADD', first)) as unknown as Result;
    await node.ok('ADD', second, undefined, { CNI_CONTAINERID: 'c2' });
    await node.ok('DEL', first);
    const [bridge] = (await node.host.json('ip', 'link', 'show', 'dev', 'cni0')) as { address: string }[];
    expect(bridge?.address).toBe(interfaces[0]?.mac);
  });

  test('uses a bridge that is there, and leaves its MTU', async () => {
    const node = new TestNode();
    await node.host.exec('ip', 'link', 'add', 'cni0', 'mtu', '1300', 'type', 'bridge');
    const before = await node.host.json('ip', 'link', 'show', 'dev', 'cni0');
    await node.ok('ADD', node.pod());
    const after = await node.host.json('ip', 'link', 'show', 'dev', 'cni0');
    expect(after).toMatchObject([{ ifindex: (before as { ifindex: number }[])[0]?.ifindex }]);
  });

  test('pins the MAC of a bridge that is there, also for a network without a gateway', async () => {
    const node = new TestNode();
    await node.host.exec('ip', 'link', 'add', 'cni0', 'type', 'bridge');
    const plain = node.delegate({ isGateway: false, isDefaultGateway: false });
    const added = (await node.ok('ADD', node.pod(), plain)) as unknown as Result;
    const gateway = { ...node.configuration(), name: 'other' };
    await node.ok('ADD', node.pod(), gateway, { CNI_CONTAINERID: 'c2' });
    await node.host.exec('ip', 'link', 'add', 'low', 'address', '02:00:00:00:00:01', 'type', 'veth');
    await node.host.exec('ip', 'link', 'set', 'low', 'master', 'cni0');
    const [bridge] = (await node.host.json('ip', 'link', 'show', 'dev', 'cni0')) as { address: string }[];
    expect(bridge?.address).toBe(added.interfaces[0]?.mac);
  });

  test('turns forwarding on', async () => {
    const node = new TestNode();
    await node.ok('ADD', node.pod());
    expect(await node.host.exec('sysctl', '-n', 'net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding')).toBe(
      '1\n1\n',
    );
  });

  test('gives the same container a second interface, with an address of its own', async () => {
    const node = new TestNode();
    const pod = node.pod();
    await node.ok('ADD', pod);
    await node.ok('ADD', pod, node.delegate({ isDefaultGateway: false }), { CNI_IFNAME: 'net1' });
    expect(node.reserved()).toHaveLength(4);
    await node.ok('DEL', pod, undefined, { CNI_IFNAME: 'net1' });
    expect(fs.readdirSync(node.states)).toEqual(['c1']);
    expect(await addressesIn(pod, 'eth0')).toContain('10.244.1.2/24');
    await node.ok('DEL', pod);
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('thirty-two at once get different addresses', async () => {
    const node = new TestNode();
    const pods = Array.from({ length: 32 }, () => node.pod());
    const id = (i: number) => ({ CNI_CONTAINERID: `c${i}` });
    const results = await Promise.all(pods.map((pod, i) => node.ok('ADD', pod, undefined, id(i))));
    const addresses = (results as unknown as Result[]).flatMap(({ ips }) =>
      ips.map(({ address }) => address),
    );
    expect(new Set(addresses).size).toBe(64);
    await Promise.all(pods.map((pod, i) => node.ok('DEL', pod, undefined, id(i))));
    expect(await node.leftovers()).toEqual(nothing);
  });
});

describe('an ADD that fails leaves nothing', () => {
  test('when the interface is there', async () => {
    const node = new TestNode();
    const pod = node.pod();
    await pod.exec('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
    expect(await node.error('ADD', pod)).toMatchObject({
      code: 4,
      msg: expect.stringContaining('("eth0") already exists') as string,
    });
    expect(await node.leftovers()).toEqual(nothing);
    expect(await pod.json('ip', 'link', 'show', 'dev', 'eth0')).toHaveLength(1);
  });

  test('when the same attachment is added with other addresses: the first one stays whole', async () => {
    const node = new TestNode();
    const pod = node.pod();
    await node.ok('ADD', pod);
    const before = await node.leftovers();
    const elsewhere = node.configuration({ ipam: { dataDir: `${node.networks}2` } });
    expect(await node.error('ADD', pod, elsewhere)).toMatchObject({ code: 4 });
    expect(await node.leftovers()).toEqual(before);
    await node.ok('DEL', pod);
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('when the same attachment is added twice: the first one stays whole', async () => {
    const node = new TestNode();
    const pod = node.pod();
    await node.ok('ADD', pod);
    const before = await node.leftovers();
    await node.error('ADD', pod);
    expect(await node.leftovers()).toEqual(before);
    await node.error('ADD', node.pod());
    expect(await node.leftovers()).toEqual(before);
    await pod.exec('ping', '-c1', '-W2', '10.244.1.1');
  });

  test.each([
    ['10.9.9.1/24', /"cni0" already has an IP address different from 10.244.1.1\/24/],
    ['fd00:244:0:1::9/64', /"cni0" already has an IP address different from fd00:244:0:1::1\/64/],
  ])('when the bridge has %s', async (address, why) => {
    const node = new TestNode();
    await node.host.exec('ip', 'link', 'add', 'cni0', 'up', 'type', 'bridge');
    await node.host.exec(
      'ip',
      'addr',
      'add',
      address,
      'dev',
      'cni0',
      ...(address.includes(':') ? ['nodad'] : []),
    );
    expect((await node.error('ADD', node.pod())).msg).toMatch(why);
    expect(await node.leftovers()).toEqual(nothing);
    await node.ok('ADD', node.pod(), node.delegate({ forceAddress: true }));
    expect(await addressesIn(node.host, 'cni0')).not.toContain(address);
  });

  test("when links are refused: with forceAddress the bridge's address stays", async () => {
    const node = new TestNode();
    await node.host.exec('ip', 'link', 'add', 'cni0', 'up', 'type', 'bridge');
    await node.host.exec('ip', 'addr', 'add', '10.9.9.1/24', 'dev', 'cni0');
    const pod = node.pod();
    await pod.exec('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'other');
    await node.error('ADD', pod, node.delegate({ forceAddress: true }));
    expect(await addressesIn(node.host, 'cni0')).toEqual(['10.9.9.1/24']);
    expect(await node.leftovers()).toEqual(nothing);
  });

  test("when the bridge's name is taken", async () => {
    const node = new TestNode();
    await node.host.exec('ip', 'link', 'add', 'cni0', 'type', 'veth', 'peer', 'name', 'other');
    const why = /^"cni0" already exists but is not a bridge/;
    expect((await node.error('ADD', node.pod())).msg).toMatch(why);
    expect(await node.error('STATUS', '')).toMatchObject({
      code: 50,
      msg: expect.stringMatching(why) as string,
    });
    expect(await node.leftovers()).toEqual({ ...nothing, veths: ['other', 'cni0'] });
  });

  test('when the range is exhausted, in the second family too', async () => {
    const node = new TestNode();
    node.writeSubnet({ FLANNEL_IPV6_SUBNET: 'fd00:244:0:1::1/126' });
    await node.ok('ADD', node.pod());
    await node.ok('ADD', node.pod(), undefined, { CNI_CONTAINERID: 'c2' });
    const before = node.reserved();
    const { code, msg } = await node.error('ADD', node.pod(), undefined, { CNI_CONTAINERID: 'c3' });
    expect(code).toBe(11);
    expect(msg).toMatch(/no IP addresses available in range set: fd00:244:0:1::1-fd00:244:0:1::3/);
    expect(node.reserved()).toEqual(before);
    await node.ok('STATUS', '');
  });

  test.each([
    ['172.16.0.0/12', '192.0.2.1', 'ENETUNREACH'],
    ['2001:db8:1::/48', 'fd00:244:0:1::2', 'EINVAL'],
    ['2001:db8:1::/48', '2001:db8::1', 'EHOSTUNREACH'],
  ])('when the gateway of a route cannot be one: %s via %s', async (dst, gw, why) => {
    const node = new TestNode();
    const ipam = { dataDir: node.networks, routes: [{ dst, gw }] };
    const { code, msg, details } = await node.error('ADD', node.pod(), node.configuration({ ipam }));
    expect(msg).toContain(`failed to add route '${dst} via ${gw}': RTM_NEWROUTE: ${why}`);
    expect({ code, details }).toEqual({ code: 7, details: expect.stringContaining('ipam.routes') });
    expect(await node.leftovers()).toEqual(nothing);
  });

  test("when another network has the container's state file: that stays as it was", async () => {
    const node = new TestNode();
    const pod = node.pod();
    const other = { ...node.delegate({ bridge: 'cni1' }), name: 'other' };
    await node.ok('ADD', pod, other);
    const file = path.join(node.states, 'c1');
    const written = fs.readFileSync(file, 'utf8');
    const ipam = { dataDir: node.networks, routes: [{ dst: '172.16.0.0/12', gw: '192.0.2.1' }] };
    await node.error('ADD', pod, node.configuration({ ipam }), { CNI_IFNAME: 'net1' });
    expect(fs.readFileSync(file, 'utf8')).toBe(written);
    await node.ok('DEL', pod, other);
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('when the interface has an address already, and asked for another: it keeps the one, and its record', async () => {
    const node = new TestNode();
    node.writeSubnet({ FLANNEL_IPV6_NETWORK: undefined, FLANNEL_IPV6_SUBNET: undefined });
    await node.ok('ADD', node.pod());
    const record = () => JSON.parse(fs.readFileSync(path.join(node.records, 'c1:eth0'), 'utf8')) as Json;
    const written = record();
    const before = await node.leftovers();
    const ipam = { dataDir: node.networks, routes: [{ dst: '172.16.0.0/12', gw: '192.0.2.1' }] };
    const asked = { CNI_ARGS: 'IP=10.244.1.9' };
    const { msg } = await node.error('ADD', node.pod(), node.configuration({ ipam }), asked);
    expect(msg).toMatch(/^failed to add route/);
    expect(await node.leftovers()).toEqual(before);
    expect(record()).toEqual(written);
  });

  test('when its state cannot be written: no rules are taken away that were not made', async () => {
    const ran: string[] = [];
    const run: World['run'] = async (program) => {
      ran.push(program);
      return { code: 0, stdout: '', stderr: '' };
    };
    const node = new TestNode({ run });
    fs.writeFileSync(node.states, '');
    await node.error('ADD', node.pod(), node.delegate({ ipMasq: true, ipMasqBackend: 'iptables' }));
    expect(ran).toEqual([]);
  });

  test('when nothing can be taken back: a record tells the sweep what is left', async () => {
    let isStuck = true;
    const node: TestNode = new TestNode({
      existingStore(directory) {
        if (isStuck) throw new Error('somebody holds the lock');
        return node.world.store(directory);
      },
    });
    fs.writeFileSync(node.states, '');
    await node.error('ADD', node.pod());
    fs.rmSync(node.states);
    expect(await node.leftovers()).toMatchObject({ records: ['c1:eth0'], reserved: expect.anything() });
    isStuck = false;
    const clock = { ...systemClock, now: () => Date.now() + grace + 1000 };
    expect(await sweep({ ...node.world, clock }, node.states)).toEqual({ addresses: 2, attachments: 1 });
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('when the kernel has no VLANs on bridges, or else they are set', async () => {
    const node = new TestNode();
    const pod = node.pod();
    const { status, stdout } = await node.call('ADD', pod, node.delegate({ vlan: 100 }));
    if (status === 0) {
      expect((JSON.parse(stdout) as Result).interfaces[3]?.name).toBe('cni0.100');
      await node.ok('DEL', pod);
    } else {
      expect(stdout).toMatch(/use a kernel with bridge VLAN filtering/);
      expect(fs.existsSync(node.networks)).toBe(false);
    }
    expect(node.reserved()).toEqual([]);
  });

  test('when every name for its veth is taken: and what is taken stays', async () => {
    const node = new TestNode({ random: (bytes) => new Uint8Array(bytes).fill(7) });
    await node.host.exec('ip', 'link', 'add', 'veth07070707', 'type', 'veth', 'peer', 'name', 'other');
    expect((await node.error('ADD', node.pod())).msg).toMatch(/EEXIST/);
    expect(await node.leftovers()).toEqual({
      ...nothing,
      veths: expect.arrayContaining(['veth07070707']) as string[],
    });
  });

  test('when its name is taken once, another one is tried', async () => {
    let call = 0;
    const node = new TestNode({ random: (bytes) => new Uint8Array(bytes).fill(call++ < 3 ? 7 : call) });
    await node.host.exec('ip', 'link', 'add', 'veth07070707', 'type', 'veth', 'peer', 'name', 'other');
    const pod = node.pod();
    await node.ok('ADD', pod);
    expect(await node.veths()).toHaveLength(3);
    await node.ok('DEL', pod);
    expect(await node.veths()).toHaveLength(2);
  });

  test('in the node itself', async () => {
    const node = new TestNode();
    const { code, msg } = await node.error('ADD', node.host);
    expect([code, msg]).toEqual([8, expect.stringMatching(/should not be the same/)]);
    expect(await node.leftovers()).toEqual(nothing);
  });

  test.each([
    ['', 4, /CNI_NETNS/],
    ['/run/netns/fl-nothing-there', 3, /failed to open netns .*there is no such file/],
    ['/etc/hostname', 8, /it is no network namespace/],
    ['/proc/self/ns/uts', 8, /it is no network namespace/],
  ])('when CNI_NETNS is %j', async (netns, code, why) => {
    const node = new TestNode();
    const error = await node.error('ADD', netns);
    expect(error.code).toBe(code);
    expect(error.msg).toMatch(why);
    expect(await node.leftovers()).toEqual(nothing);
    expect(await node.host.json('ip', 'link')).toHaveLength(1);
  });

  test.each(['networks', 'states'] as const)('when the directory of its %s cannot be made', async (what) => {
    const node = new TestNode();
    fs.writeFileSync(node[what], '');
    const { code, msg } = await node.error('ADD', node.pod());
    expect(code).toBe(5);
    expect(msg).toContain(node[what]);
    fs.rmSync(node[what]);
    expect(await node.leftovers()).toEqual(nothing);
  });

  test.each(['networks', 'states'] as const)('when the disc of its %s is full', async (what) => {
    const node = new TestNode();
    fs.mkdirSync(node[what]);
    // Room for no file at all: the first inode is the directory itself.
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'nr_inodes=1', 'tmpfs', node[what]]);
    try {
      const { code, msg } = await node.error('ADD', node.pod());
      expect(code).toBe(5);
      expect(msg).toMatch(/ENOSPC.*free some space/);
      expect(await node.veths()).toEqual([]);
      expect(node.reserved()).toEqual([]);
    } finally {
      execFileSync('umount', [node[what]]);
    }
  });
});
