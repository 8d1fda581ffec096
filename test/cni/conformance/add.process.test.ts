import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Machine, nothing, type Scene, ways } from './harness.ts';

type Result = {
  interfaces: { name: string; mac: string; sandbox?: string }[];
  ips: { address: string; gateway: string; interface: number }[];
  routes: { dst: string; gw?: string }[];
};

describe.each(ways)('ADD, %s', (way) => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start(way);
  });
  afterAll(() => machine.stop());

  const add = async (scene: Scene, ...args: Parameters<Scene['conf']>): Promise<Result> =>
    (await scene.ok('ADD', { conf: scene.conf(...args) })) as unknown as Result;

  test('A01 IPv4', async () => {
    const scene = machine.scene();
    await add(scene);
    expect(await scene.addressesOf(scene.pod, 'eth0')).toEqual([`${scene.v4}.2/24`]);
    expect(await scene.routes()).toEqual([`default via ${scene.v4}.1`, `10.244.0.0/16 via ${scene.v4}.1`]);
  });

  test('A02 IPv6', async () => {
    const scene = machine.scene();
    scene.ipv6Only();
    await add(scene);
    expect(await scene.addressesOf(scene.pod, 'eth0')).toEqual([`${scene.v6}2/64`]);
    expect(await scene.routes(6)).toEqual([`fd00:244::/48 via ${scene.v6}1`, `default via ${scene.v6}1`]);
  });

  test('A03 both', async () => {
    const scene = machine.scene();
    scene.dualStack();
    await add(scene);
    expect(await scene.addressesOf(scene.pod, 'eth0')).toEqual([`${scene.v4}.2/24`, `${scene.v6}2/64`]);
    expect([...(await scene.routes()), ...(await scene.routes(6))]).toHaveLength(4);
  });

  test('A04 two networks are two routes', async () => {
    const scene = machine.scene();
    scene.subnetEnv({ FLANNEL_NETWORK: '10.244.0.0/16,10.99.0.0/16' });
    await add(scene);
    expect(await scene.routes()).toEqual([
      `default via ${scene.v4}.1`,
      `10.99.0.0/16 via ${scene.v4}.1`,
      `10.244.0.0/16 via ${scene.v4}.1`,
    ]);
  });

  test('A05 isDefaultGateway makes a default route', async () => {
    const scene = machine.scene();
    const { routes } = await add(scene);
    expect(routes).toContainEqual({ dst: '0.0.0.0/0', gw: `${scene.v4}.1` });
  });

  test('A06 without it there is none', async () => {
    const scene = machine.scene();
    await add(scene, {}, { isDefaultGateway: false });
    expect(await scene.routes()).toEqual([`10.244.0.0/16 via ${scene.v4}.1`]);
  });

  test('A07 a default route of IPAM without a gateway, and isDefaultGateway', async () => {
    const scene = machine.scene();
    await add(scene, {}, {}, { routes: [{ dst: '0.0.0.0/0' }] });
    expect((await scene.routes()).filter((route) => route.startsWith('default'))).toEqual([
      `default via ${scene.v4}.1`,
    ]);
  });

  test('A08 the bridge is made with the MTU', async () => {
    const scene = machine.scene();
    await add(scene, {}, { mtu: 1234 });
    expect(await scene.link(machine.node, scene.bridge)).toMatchObject({ mtu: 1234 });
    expect(await scene.link(scene.pod, 'eth0')).toMatchObject({ mtu: 1234 });
  });

  test('A09 a bridge that is there is used', async () => {
    const scene = machine.scene();
    await machine.node.exec('ip', 'link', 'add', scene.bridge, 'type', 'bridge');
    const before = await scene.link(machine.node, scene.bridge);
    await add(scene);
    expect(await scene.link(machine.node, scene.bridge)).toMatchObject({ ifindex: before['ifindex'] });
    expect(await scene.ports()).toHaveLength(1);
  });

  test('A10 a link of that name that is no bridge is an error', async () => {
    const scene = machine.scene();
    await machine.node.exec(
      'ip',
      'link',
      'add',
      scene.bridge,
      'type',
      'veth',
      'peer',
      'name',
      `p${scene.index}`,
    );
    const failure = await scene.fails('ADD');
    expect(failure.msg).toContain(`"${scene.bridge}" already exists but is not a bridge`);
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('A11 the gateway is on the bridge', async () => {
    const scene = machine.scene();
    scene.dualStack();
    await add(scene);
    expect(await scene.addressesOf(machine.node, scene.bridge)).toEqual([
      `${scene.v4}.1/24`,
      `${scene.v6}1/64`,
    ]);
  });

  test('A12 another address on the bridge is an error', async () => {
    const scene = machine.scene();
    await otherAddress(scene, `10.250.${scene.index}.1/24`);
    const failure = await scene.fails('ADD');
    expect(failure.msg).toContain(
      `"${scene.bridge}" already has an IP address different from ${scene.v4}.1/24`,
    );
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('A13 forceAddress replaces it', async () => {
    const scene = machine.scene();
    await otherAddress(scene, `10.250.${scene.index}.1/24`);
    await add(scene, {}, { forceAddress: true });
    expect(await scene.addressesOf(machine.node, scene.bridge)).toEqual([`${scene.v4}.1/24`]);
  });

  test('A14 an IPv6 address of another network stays', async () => {
    const scene = machine.scene();
    scene.dualStack();
    await otherAddress(scene, 'fd99::1/64');
    await add(scene);
    expect(await scene.addressesOf(machine.node, scene.bridge)).toContain('fd99::1/64');
  });

  const otherAddress = async (scene: Scene, address: string): Promise<void> => {
    await machine.node.exec('ip', 'link', 'add', scene.bridge, 'type', 'bridge');
    await machine.node.exec('ip', 'addr', 'add', address, 'dev', scene.bridge);
  };

  test('A15 the MAC of the bridge stays while ports come and go', async () => {
    const scene = machine.scene();
    await add(scene);
    const { address } = await scene.link(machine.node, scene.bridge);
    const other = machine.pod();
    await scene.ok('ADD', { netns: other.path, id: 'c2' });
    await scene.ok('DEL');
    await scene.ok('DEL', { netns: other.path, id: 'c2' });
    expect(await scene.link(machine.node, scene.bridge)).toMatchObject({ address });
  });

  test.each([true, false])('A16 hairpin %s', async (hairpinMode) => {
    const scene = machine.scene();
    await add(scene, {}, { hairpinMode });
    const [port = ''] = await scene.ports();
    expect(await scene.link(machine.node, port)).toMatchObject({
      linkinfo: { info_slave_data: { hairpin: hairpinMode } },
    });
  });

  test('A17 promiscuous mode; not together with hairpin', async () => {
    const scene = machine.scene();
    const failure = await scene.fails('ADD', { conf: scene.conf({}, { promiscMode: true }) });
    expect(failure.msg).toContain('cannot set hairpin mode and promiscuous mode at the same time');
    await add(scene, {}, { promiscMode: true, hairpinMode: false });
    expect((await scene.link(machine.node, scene.bridge))['flags']).toContain('PROMISC');
  });

  test('A18 forwarding is switched on where it was off', async () => {
    const scene = machine.scene();
    scene.dualStack();
    const off = ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'];
    await machine.node.exec('sh', '-c', off.map((name) => `echo 0 > /proc/sys/net/${name}`).join(';'));
    await add(scene);
    expect(off.map((name) => scene.sysctl(machine.node, name))).toEqual(['1', '1']);
  });

  test('A19 accept_ra, accept_dad and arp_notify', async () => {
    const scene = machine.scene();
    scene.dualStack();
    await add(scene);
    const [port = ''] = await scene.ports();
    expect(scene.sysctl(machine.node, `ipv6/conf/${scene.bridge}/accept_ra`)).toBe('0');
    // Of a port the reference says the same. Ours has no IPv6 address to take an advertisement with, and none comes so far.
    expect(await machine.node.exec('ip', '-6', 'addr', 'show', 'dev', port)).toBe('');
    expect(scene.sysctl(scene.pod, 'ipv6/conf/eth0/accept_dad')).toBe('0');
    expect(scene.sysctl(scene.pod, 'ipv4/conf/eth0/arp_notify')).toBe('1');
  });

  test('A20 no address is tentative when the answer is there', async () => {
    const scene = machine.scene();
    scene.dualStack();
    await add(scene);
    expect(await scene.pod.exec('ip', '-6', 'addr', 'show', 'dev', 'eth0', 'scope', 'global')).not.toContain(
      'tentative',
    );
  });

  test('A21 IPv6 off by default in the pod', async () => {
    const scene = machine.scene();
    scene.dualStack();
    await scene.pod.exec('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6');
    await add(scene);
    expect(await scene.addressesOf(scene.pod, 'eth0')).toContain(`${scene.v6}2/64`);
  });

  test('A22 IPv6 off on the bridge is an error that says so', async () => {
    const scene = machine.scene();
    scene.dualStack();
    await machine.node.exec('ip', 'link', 'add', scene.bridge, 'type', 'bridge');
    await machine.node.exec('sh', '-c', `echo 1 > /proc/sys/net/ipv6/conf/${scene.bridge}/disable_ipv6`);
    const failure = await scene.fails('ADD');
    expect(failure.msg).toMatch(/IPv6 is off|disable_ipv6/);
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('A23 the node’s end is veth and eight hexadecimal digits', async () => {
    const scene = machine.scene();
    const { interfaces } = await add(scene);
    expect(interfaces[1]?.name).toMatch(/^veth[0-9a-f]{8}$/);
    expect(await scene.ports()).toEqual([interfaces[1]?.name]);
  });

  test('A24 an interface that is there is an error, and nothing leaks', async () => {
    const scene = machine.scene();
    await add(scene);
    const failure = await scene.fails('ADD', { id: 'c2' });
    expect(failure.msg).toContain('already exists');
    expect(scene.reserved()).toEqual([`${scene.v4}.2`]);
    expect(await scene.ports()).toHaveLength(1);
  });

  test.each([
    ['CNI_ARGS', {}, '02:00:00:00:00:01'],
    ['args.cni.mac', { args: { cni: { mac: '02:00:00:00:00:02' } } }, '02:00:00:00:00:02'],
    [
      'runtimeConfig.mac',
      { args: { cni: { mac: '02:00:00:00:00:02' } }, runtimeConfig: { mac: '02:00:00:00:00:03' } },
      '02:00:00:00:00:03',
    ],
  ])('A25 the MAC of %s goes first', async (_name, changes, mac) => {
    const scene = machine.scene();
    const env = { CNI_ARGS: 'MAC=02:00:00:00:00:01' };
    await scene.ok('ADD', { conf: scene.conf(changes), env });
    expect(await scene.link(scene.pod, 'eth0')).toMatchObject({ address: mac });
  });

  test.each([true, false])('A26 portIsolation %s', async (portIsolation) => {
    const scene = machine.scene();
    await add(scene, {}, { portIsolation });
    const [port = ''] = await scene.ports();
    expect(await scene.link(machine.node, port)).toMatchObject({
      linkinfo: { info_slave_data: { isolated: portIsolation } },
    });
  });

  test.each([
    ['vlan', { vlan: 100 }],
    ['vlan, preserved default', { vlan: 100, preserveDefaultVlan: true }],
    ['trunk of one', { vlanTrunk: [{ id: 100 }] }],
    ['trunk of a range', { vlanTrunk: [{ minID: 10, maxID: 12 }] }],
    ['both', { vlan: 5, vlanTrunk: [{ id: 100 }] }],
  ])('A27 %s is refused by a kernel without bridge VLAN filtering', async (_name, changes) => {
    const scene = machine.scene();
    const failure = await scene.fails('ADD', { conf: scene.conf({}, changes) });
    expect(failure.msg).toMatch(/VLAN/i);
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test.each([
    [{ vlan: 5000 }, 'invalid VLAN ID 5000 (must be between 0 and 4094)'],
    [{ vlanTrunk: [{ minID: 9 }] }, 'minID and maxID should be configured simultaneously, maxID is missing'],
  ])('A27 %j is refused with the reference’s words', async (changes, msg) => {
    const scene = machine.scene();
    expect((await scene.fails('ADD', { conf: scene.conf({}, changes) })).msg).toContain(msg);
  });

  test('A28 the masquerade rules of iptables', async () => {
    const scene = machine.scene();
    await add(scene, {}, { ipMasq: true, ipMasqBackend: 'iptables' });
    const rules = await machine.node.exec('iptables', '-t', 'nat', '-S');
    const comment = `-m comment --comment "name: \\"${scene.network}\\" id: \\"c1\\""`;
    const [chain] = /CNI-[0-9a-f]{24}/.exec(rules) ?? [];
    expect(rules).toContain(`-A POSTROUTING -s ${scene.v4}.2/32 ${comment} -j `);
    expect(rules).toContain(`-d ${scene.v4}.0/24 ${comment} -j ACCEPT`);
    expect(rules).toContain(`! -d 224.0.0.0/4 ${comment} -j MASQUERADE`);
    expect(chain).toBeDefined();
    await scene.ok('DEL');
    expect(await machine.node.exec('iptables', '-t', 'nat', '-S')).not.toContain(scene.network);
  });

  test('A29 the masquerade rules of nftables', async () => {
    const scene = machine.scene();
    await add(scene, {}, { ipMasq: true, ipMasqBackend: 'nftables' });
    const rules = await machine.node.exec('nft', 'list', 'table', 'inet', 'cni_plugins_masquerade');
    expect(rules).toContain(`ip saddr ${scene.v4}.2 ip daddr != ${scene.v4}.0/24 masquerade`);
    expect(rules).toContain(`net: ${scene.network}, if: eth0, id: c1`);
    await scene.ok('DEL');
    const after = await machine.node.exec('nft', 'list', 'table', 'inet', 'cni_plugins_masquerade');
    expect(after).not.toContain(scene.network);
  });

  test('A30 an unknown masquerade backend is an error', async () => {
    const scene = machine.scene();
    const conf = scene.conf({}, { ipMasq: true, ipMasqBackend: 'pf' });
    expect((await scene.fails('ADD', { conf })).msg).toContain('pf');
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('A31 interfaces in order, with sandbox and index', async () => {
    const scene = machine.scene();
    const { interfaces, ips } = await add(scene);
    expect(interfaces.map(({ sandbox }) => sandbox)).toEqual([undefined, undefined, scene.pod.path]);
    expect(interfaces.map(({ mac }) => mac)).toEqual(
      interfaces.map(() => expect.stringMatching(/^(..:){5}..$/)),
    );
    expect(ips[0]?.interface).toBe(2);
  });

  test('A32 a namespace that is missing, or none, is an error before any address is taken', async () => {
    const scene = machine.scene();
    const file = path.join(scene.directory, 'file');
    fs.writeFileSync(file, '');
    expect((await scene.fails('ADD', { netns: '/run/netns/none-such' })).code).toBe(3);
    expect((await scene.fails('ADD', { netns: file })).code).toBe(8);
    expect(fs.existsSync(scene.addresses)).toBe(false);
  });

  test('A33 a subnet file that is missing or partial names itself', async () => {
    const scene = machine.scene();
    scene.subnetEnv({ FLANNEL_MTU: undefined });
    const partial = await scene.fails('ADD');
    expect([partial.code, partial.msg]).toEqual([11, expect.stringContaining(scene.subnetFile)]);
    scene.subnetEnv({ FLANNEL_SUBNET: '10.244.1.300/24' });
    const wrong = await scene.fails('ADD');
    expect([wrong.code, wrong.msg]).toEqual([7, expect.stringContaining('FLANNEL_SUBNET')]);
    fs.rmSync(scene.subnetFile);
    machine.mayRunAlone();
    const missing = await scene.fails('ADD');
    expect([missing.code, missing.msg]).toEqual([11, expect.stringContaining(scene.subnetFile)]);
  });

  test('A34 a hundred ADDs at once get a hundred addresses', { timeout: 120_000 }, async () => {
    const scene = machine.scene();
    const pods = Array.from({ length: 100 }, () => machine.pod());
    const results = await Promise.all(
      pods.map((pod, i) => scene.ok('ADD', { id: `c${i}`, netns: pod.path })),
    );
    const ips = results.map((result) => (result as unknown as Result).ips[0]?.address);
    expect(new Set(ips).size).toBe(100);
    expect(scene.reserved()).toHaveLength(100);
    await Promise.all(pods.map((pod, i) => scene.ok('DEL', { id: `c${i}`, netns: pod.path })));
    expect(await scene.leftovers()).toEqual(nothing);
  });
});
