import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Machine, nothing, type Scene, ways } from './harness.ts';

/** Links may be made before it is known whether there are addresses. */
describe.each(ways)('an ADD that comes to nothing, %s', (way) => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start(way);
  });
  afterAll(() => machine.stop());

  /** The bridge is ours, and complete: where the daemon can go ahead, it does. */
  const used = async (): Promise<Scene> => {
    const scene = machine.scene();
    await scene.ok('ADD', { id: 'first', netns: machine.pod().path });
    return scene;
  };

  test('leaves no link when there is no address', async () => {
    const scene = machine.scene();
    scene.subnetEnv({ FLANNEL_SUBNET: `${scene.v4}.1/30` });
    await scene.ok('ADD');
    const { code } = await scene.fails('ADD', { id: 'c2', netns: machine.pod().path });
    expect(code).toBe(11);
    expect(await scene.ports()).toHaveLength(1);
    await scene.ok('DEL');
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test.each(['nftables', 'iptables'])(
    'keeps the rules of an attachment that stands (%s)',
    async (ipMasqBackend) => {
      const scene = machine.scene();
      const conf = scene.conf({}, { ipMasq: true, ipMasqBackend });
      await scene.ok('ADD', { conf });
      // iptables-save would tell the time, too.
      const [show = '', ...args] =
        ipMasqBackend === 'nftables' ? ['nft', 'list', 'ruleset'] : ['iptables', '-t', 'nat', '-S'];
      const rules = () => machine.node.exec(show, ...args);
      const before = await rules();
      expect(before).toContain(`${scene.v4}.2`);
      const elsewhere = { ...conf, dataDir: path.join(scene.directory, 'elsewhere', 'flannel') };
      await scene.fails('ADD', { conf: elsewhere, netns: machine.pod().path });
      expect(await rules()).toBe(before);
    },
  );

  test('keeps the address of an attachment that others have made, and leaves no link', async () => {
    const scene = await used();
    // host-local's own, with no state file of anybody's
    fs.mkdirSync(scene.addresses, { recursive: true });
    const file = path.join(scene.addresses, `${scene.v4}.7`);
    fs.writeFileSync(file, 'c1\r\neth0');
    const { msg } = await scene.fails('ADD');
    expect(msg).toContain(`${scene.v4}.7 has been allocated to c1, duplicate allocation is not allowed`);
    expect(fs.readFileSync(file, 'utf8')).toBe('c1\r\neth0');
    expect(await scene.ports()).toHaveLength(1);
    expect(await scene.pod.exec('ip', '-json', 'link')).not.toContain('eth0');
  });

  test.each([false, true])('is undone when nobody hears its answer (enabledad: %s)', async (enabledad) => {
    const scene = await used();
    const before = await scene.leftovers();
    const deaf = path.join(scene.directory, 'deaf');
    fs.writeFileSync(deaf, `#!/bin/sh\nexec ${machine.flannel} >/dev/full\n`, { mode: 0o755 });
    const conf = JSON.stringify(scene.conf({}, { enabledad }));
    const { status, stderr } = await machine.exec(scene.environment('ADD'), conf, deaf);
    expect([status, stderr]).toEqual([1, '']);
    // The daemon is told by the end of the connection.
    if (way === 'warm') await expect.poll(() => scene.leftovers()).toEqual(before);
    expect(await scene.leftovers()).toEqual(before);
    expect(await scene.pod.exec('ip', '-json', 'link')).not.toContain('eth0');
  });

  test('leaves a bridge with another address as it is', async () => {
    const scene = machine.scene();
    scene.dualStack();
    await machine.node.exec('ip', 'link', 'add', scene.bridge, 'type', 'bridge');
    await machine.node.exec('ip', 'addr', 'add', '10.9.9.1/24', 'dev', scene.bridge);
    const state = async () => [
      await machine.node.exec('ip', '-brief', 'addr', 'show', 'dev', scene.bridge),
      scene.sysctl(machine.node, `ipv6/conf/${scene.bridge}/accept_ra`),
    ];
    const before = await state();
    const { msg } = await scene.fails('ADD');
    expect(msg).toContain('already has an IP address different from');
    expect(await state()).toEqual(before);
    expect(await scene.leftovers()).toEqual(nothing);
    expect(await scene.pod.exec('ip', '-json', 'link')).not.toContain('eth0');
  });
});

describe.each(ways)('a bridge that lost its addresses, %s', (way) => {
  test('gets them back with the next pod, the one to ask from included', async () => {
    const machine = await Machine.start(way);
    try {
      const scene = machine.scene();
      scene.dualStack();
      await scene.ok('ADD', { id: 'first', netns: machine.pod().path });
      await machine.node.exec('ip', 'addr', 'flush', 'dev', scene.bridge);
      await machine.node.exec('ip', '-6', 'addr', 'flush', 'dev', scene.bridge);
      await scene.ok('ADD');
      const shown = await machine.node.exec('ip', '-brief', 'addr', 'show', 'dev', scene.bridge);
      expect(shown).toMatch(/fe80::.*\/64/);
      expect(shown).toContain(`${scene.v4}.1/24`);
    } finally {
      await machine.stop();
    }
  });
});
