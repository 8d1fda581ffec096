import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Netns } from '../../kit/netns.ts';
import { type Json, Machine, nothing, type Scene, ways } from './harness.ts';

/** What others on the bridge, and the pod itself, have of a new pod beside its addresses. */
describe.each(ways)('a new pod, %s', (way) => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start(way);
  });
  afterAll(() => machine.stop());

  const neighbour = (netns: Netns, address: string) =>
    netns.exec('ip', 'neigh', 'show', address, 'dev', 'eth0');
  const macOf = async (scene: Scene, id: string, pod: Netns, args = ''): Promise<string> => {
    const env = { CNI_ARGS: `IgnoreUnknown=1${args}` };
    const { interfaces } = (await scene.ok('ADD', { id, netns: pod.path, env })) as {
      interfaces?: { mac: string }[];
    };
    return interfaces?.[2]?.mac ?? '';
  };

  test('is known at once to a pod that talked to the last holder of its address', async () => {
    const scene = machine.scene();
    const [client, before, after] = [machine.pod(), machine.pod(), machine.pod()];
    await macOf(scene, 'client', client);
    // What an entry has learnt in the last second others cannot change.
    await client.exec('sh', '-c', 'echo 0 > /proc/sys/net/ipv4/neigh/eth0/locktime');
    const address = `${scene.v4}.9`;
    const asked = `;IP=${address}`;
    const oldMac = await macOf(scene, 'before', before, asked);
    await client.exec('ping', '-c', '1', '-W', '2', address);
    expect(await neighbour(client, address)).toContain(oldMac);
    await scene.ok('DEL', { id: 'before', netns: before.path });
    const mac = await macOf(scene, 'after', after, asked);
    expect(mac).not.toBe(oldMac);
    await expect.poll(() => neighbour(client, address)).toContain(mac);
    expect(await neighbour(after, `${scene.v4}.1`)).toMatch(/REACHABLE|STALE/);
  });

  const linkLocal = (pod: Netns) =>
    pod.exec('ip', '-6', '-brief', 'addr', 'show', 'dev', 'eth0', 'scope', 'link');

  test.each([0, 1, 3])(
    'has the link-local address that its namespace wants, addr_gen_mode %i',
    async (mode) => {
      const scene = machine.scene();
      await scene.pod.exec('sh', '-c', `echo ${mode} > /proc/sys/net/ipv6/conf/default/addr_gen_mode`);
      await scene.ok('ADD');
      if (mode !== 1) await expect.poll(() => linkLocal(scene.pod)).toMatch(/fe80::/);
      expect(await linkLocal(scene.pod)).not.toMatch(mode === 1 ? /fe80/ : /tentative/);
      expect(scene.sysctl(scene.pod, 'ipv6/conf/eth0/addr_gen_mode')).toBe(String(mode));
    },
  );

  test('has none where IPv6 is off', async () => {
    const scene = machine.scene();
    await scene.pod.exec('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6');
    await scene.ok('ADD');
    expect(await linkLocal(scene.pod)).toBe('');
  });
});

describe.each(ways)('an ADD whose links were made, %s', (way) => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start(way);
  });
  afterAll(() => machine.stop());

  test('leaves none when there is no address', async () => {
    const scene = machine.scene();
    scene.subnetEnv({ FLANNEL_SUBNET: `${scene.v4}.1/30` });
    await scene.ok('ADD');
    const { code } = await scene.fails('ADD', { id: 'c2', netns: machine.pod().path });
    expect(code).toBe(11);
    expect(await scene.ports()).toHaveLength(1);
    await scene.ok('DEL');
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('keeps the address of an attachment that others have made, and leaves no link', async () => {
    const scene = machine.scene();
    // host-local's own, with no state file of anybody's
    fs.mkdirSync(scene.addresses, { recursive: true });
    const file = path.join(scene.addresses, `${scene.v4}.7`);
    fs.writeFileSync(file, 'c1\r\neth0');
    const { msg } = await scene.fails('ADD');
    expect(msg).toContain(`${scene.v4}.7 has been allocated to c1, duplicate allocation is not allowed`);
    expect(fs.readFileSync(file, 'utf8')).toBe('c1\r\neth0');
    expect(await scene.ports()).toEqual([]);
    expect(await scene.pod.exec('ip', '-json', 'link')).not.toContain('eth0');
  });

  test('keeps the bridge as it was when that has another address', async () => {
    const scene = machine.scene();
    await machine.node.exec('ip', 'link', 'add', scene.bridge, 'up', 'type', 'bridge');
    await machine.node.exec('ip', 'addr', 'add', '10.9.9.1/24', 'dev', scene.bridge);
    const { msg } = await scene.fails('ADD');
    expect(msg).toContain('already has an IP address different from');
    const left: Json = await scene.leftovers();
    expect(left).toEqual(nothing);
    expect(await scene.pod.exec('ip', '-json', 'link')).not.toContain('eth0');
  });
});
