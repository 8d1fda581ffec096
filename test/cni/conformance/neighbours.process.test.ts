import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { linkLocalAddress } from '../../../src/net/link-local.ts';
import { mac as macAddress } from '../../../src/net/mac.ts';
import type { Netns } from '../../kit/netns.ts';
import { Machine, type Scene, ways } from './harness.ts';

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
    await expect.poll(() => neighbour(after, `${scene.v4}.1`)).toBe('');
  });

  const modeOf = (scene: Scene) => scene.sysctl(scene.pod, 'ipv6/conf/eth0/addr_gen_mode');
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
      await expect.poll(() => modeOf(scene)).toBe(String(mode));
    },
  );

  test('has the very link-local address, and its route, that the kernel makes', async () => {
    const scene = machine.scene();
    const { pod } = scene;
    await scene.ok('ADD');
    await expect.poll(() => modeOf(scene)).toBe('0');
    const state = async () => [
      await pod.exec('ip', '-6', '-details', 'addr', 'show', 'dev', 'eth0', 'scope', 'link'),
      await pod.exec('ip', '-6', 'route', 'show', 'table', 'all', 'fe80::/10'),
    ];
    await expect.poll(() => linkLocal(pod)).toMatch(/fe80::/);
    const ours = await state();
    await pod.exec('sh', '-c', 'ip link set eth0 down && ip link set eth0 up');
    await expect.poll(() => linkLocal(pod)).toMatch(/fe80::/);
    expect(await state()).toEqual(ours);
  });

  test('that comes at once after another one of its name gets nothing of that one', async () => {
    const [scene, slow] = [machine.scene(), machine.scene()];
    slow.dualStack();
    await scene.ok('ADD', { id: 'first', netns: machine.pod().path });
    // Somebody waits for duplicate address detection, a second, so the daemon puts off what nobody waits for.
    const waiting = slow.ok('ADD', { id: 'slow', conf: slow.conf({}, { enabledad: true }) });
    await expect.poll(() => slow.reserved()).toHaveLength(2);
    await scene.ok('ADD');
    await scene.ok('DEL');
    const mac = await macOf(scene, 'c1', scene.pod);
    await waiting;
    await expect.poll(() => linkLocal(scene.pod)).toMatch(/fe80::/);
    await expect.poll(() => modeOf(scene)).toBe('0');
    expect((await linkLocal(scene.pod)).match(/fe80\S+/g)).toEqual([
      `${linkLocalAddress(macAddress(mac))}/64`,
    ]);
  });

  test('has none where IPv6 is off', async () => {
    const scene = machine.scene();
    await scene.pod.exec('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6');
    await scene.ok('ADD');
    expect(await linkLocal(scene.pod)).toBe('');
  });
});
