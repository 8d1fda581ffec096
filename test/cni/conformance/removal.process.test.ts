import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, Machine, nothing, pause, referencePlugins, type Scene, ways } from './harness.ts';

describe.each(ways)('DEL, %s', (way) => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start(way);
  });
  afterAll(() => machine.stop());

  const added = async (
    ...args: Parameters<Scene['conf']>
  ): Promise<{ scene: Scene; result: Json; conf: Json }> => {
    const scene = machine.scene();
    const conf = scene.conf(...args);
    return { scene, conf, result: await scene.ok('ADD', { conf }) };
  };

  test('D01 as a runtime does it', async () => {
    const { scene, conf, result } = await added();
    await scene.ok('DEL', { conf: { ...conf, prevResult: result } });
    expect(await scene.leftovers()).toEqual(nothing);
    expect(await scene.pod.json('ip', 'link', 'show', 'type', 'veth')).toEqual([]);
  });

  test('D02 twice', async () => {
    const { scene } = await added();
    await scene.ok('DEL');
    await scene.ok('DEL', { netns: '' });
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('D03 of what was never added', async () => {
    const scene = machine.scene();
    await scene.ok('DEL');
    expect(fs.existsSync(scene.addresses)).toBe(false);
  });

  test('D04 when the namespace’s path is gone', async () => {
    const { scene } = await added();
    await scene.ok('DEL', { netns: '/run/netns/none-such' });
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('D05 with an empty CNI_NETNS', async () => {
    const { scene } = await added();
    await scene.ok('DEL', { netns: '' });
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('D06 when the path is a plain file', async () => {
    const { scene } = await added();
    const file = path.join(scene.directory, 'file');
    fs.writeFileSync(file, '');
    await scene.ok('DEL', { netns: file });
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('D07 when the interface is gone', async () => {
    const { scene } = await added();
    await scene.pod.exec('ip', 'link', 'del', 'eth0');
    await scene.ok('DEL');
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('D08 without prevResult', async () => {
    const { scene, conf } = await added();
    await scene.ok('DEL', { conf: { ...conf, prevResult: undefined } });
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test.each([{ cniVersion: '0.2.0' }, { ips: 'x' }, { cniVersion: '9.9.9' }, []])(
    'D09 with the prevResult %j',
    async (prevResult) => {
      const { scene, conf } = await added();
      await scene.ok('DEL', { conf: { ...conf, prevResult } });
      expect(await scene.leftovers()).toEqual(nothing);
    },
  );

  test.each([
    ['D04', { netns: '/run/netns/none-such' }],
    ['D05', { netns: '' }],
    ['D07', {}],
  ])('D10 the masquerade rules go as well, as in %s', async (name, options) => {
    const { scene } = await added({}, { ipMasq: true });
    expect(await machine.node.exec('iptables', '-t', 'nat', '-S')).toContain(scene.network);
    if (name === 'D07') await scene.pod.exec('ip', 'link', 'del', 'eth0');
    await scene.ok('DEL', options);
    expect(await machine.node.exec('iptables', '-t', 'nat', '-S')).not.toContain(scene.network);
  });

  test('D11 when the subnet file is gone or another', async () => {
    const { scene } = await added();
    fs.rmSync(scene.subnetFile);
    await scene.ok('DEL');
    expect(await scene.leftovers()).toEqual(nothing);
    const other = await added();
    other.scene.subnetEnv({ FLANNEL_SUBNET: '10.244.200.1/24' });
    await other.scene.ok('DEL');
    expect(await other.scene.leftovers()).toEqual(nothing);
  });

  test('D12 when the ranges were others at ADD', async () => {
    const { scene } = await added({ runtimeConfig: { ipRanges: [[{ subnet: '10.66.0.0/24' }]] } });
    expect(scene.reserved()).toHaveLength(2);
    await scene.ok('DEL');
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('D13 of what the reference chain has added, by the state file of Go’s plugin', async () => {
    const scene = machine.scene();
    const delegate = {
      cniVersion: '1.0.0',
      name: scene.network,
      type: 'bridge',
      bridge: scene.bridge,
      isGateway: true,
      ipam: {
        type: 'host-local',
        dataDir: path.dirname(scene.addresses),
        ranges: [[{ subnet: `${scene.v4}.0/24` }]],
      },
    };
    const env = scene.environment('ADD');
    const run = await machine.exec(env, JSON.stringify(delegate), path.join(referencePlugins, 'bridge'));
    expect(run.status, run.stdout).toBe(0);
    fs.mkdirSync(scene.dataDir, { recursive: true });
    fs.writeFileSync(path.join(scene.dataDir, 'c1'), JSON.stringify(delegate));
    await scene.ok('DEL');
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('D14 the link goes before its address is free again', async () => {
    const scene = machine.scene();
    scene.subnetEnv({ FLANNEL_SUBNET: `${scene.v4}.1/30` });
    await scene.ok('ADD');
    const [port = ''] = await scene.ports();
    const other = machine.pod();
    const removal = scene.ok('DEL');
    // The one address of the subnet: whoever gets it must not meet its former holder.
    for (let tries = 0; ; tries++) {
      const run = await scene.run('ADD', { id: 'c2', netns: other.path });
      if (run.status === 0) break;
      if (tries > 100) throw new Error(run.stdout);
      await pause(5);
    }
    expect(await scene.ports()).not.toContain(port);
    await removal;
  });
});

describe.each(ways)('CHECK, %s', (way) => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start(way);
  });
  afterAll(() => machine.stop());

  const added = async (): Promise<{ scene: Scene; conf: Json }> => {
    const scene = machine.scene();
    scene.dualStack();
    const result = await scene.ok('ADD');
    return { scene, conf: scene.conf({ prevResult: result }) };
  };

  test('K01 is content right after ADD', async () => {
    const { scene, conf } = await added();
    await scene.ok('CHECK', { conf });
  });

  test('K02 tolerates MAC and MTU that tuning changed', async () => {
    const { scene, conf } = await added();
    await scene.pod.exec('ip', 'link', 'set', 'eth0', 'mtu', '1300', 'address', '02:11:22:33:44:55');
    const result = conf['prevResult'] as { interfaces: Json[] };
    const interfaces = result.interfaces.map((each) =>
      each['name'] === 'eth0' ? { ...each, mac: '02:11:22:33:44:55' } : each,
    );
    await scene.ok('CHECK', { conf: { ...conf, prevResult: { ...result, interfaces } } });
  });

  test('K03 tolerates the ifb that bandwidth adds', async () => {
    const { scene, conf } = await added();
    const result = conf['prevResult'] as { interfaces: Json[] };
    const interfaces = [...result.interfaces, { name: 'bwp0123456789', mac: '02:11:22:33:44:66' }];
    await scene.ok('CHECK', { conf: { ...conf, prevResult: { ...result, interfaces } } });
  });

  test('K04 misses an address', async () => {
    const { scene, conf } = await added();
    await scene.pod.exec('ip', 'addr', 'del', `${scene.v4}.2/24`, 'dev', 'eth0');
    expect((await scene.fails('CHECK', { conf })).msg).toContain(`${scene.v4}.2`);
  });

  test('K05 misses a route', async () => {
    const { scene, conf } = await added();
    await scene.pod.exec('ip', 'route', 'del', '10.244.0.0/16');
    expect((await scene.fails('CHECK', { conf })).msg).toContain('10.244.0.0/16');
  });

  test('K06 misses the reservation', async () => {
    const { scene, conf } = await added();
    for (const name of scene.reserved()) fs.rmSync(path.join(scene.addresses, name));
    expect((await scene.fails('CHECK', { conf })).msg).toMatch(/find address|reserved/i);
  });

  test('K07 misses the port of the bridge', async () => {
    const { scene, conf } = await added();
    const [port = ''] = await scene.ports();
    await machine.node.exec('ip', 'link', 'set', port, 'nomaster');
    expect((await scene.fails('CHECK', { conf })).msg).toContain(scene.bridge);
  });

  test('K08 tolerates that udev changed the MAC of the node’s end', async () => {
    const { scene, conf } = await added();
    const [port = ''] = await scene.ports();
    await machine.node.exec('ip', 'link', 'set', port, 'address', '02:11:22:33:44:77');
    await scene.ok('CHECK', { conf });
  });
});

describe.each(ways)('GC and STATUS, %s', (way) => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start(way);
  });
  afterAll(() => machine.stop());

  const two = async (delegate: Json = {}): Promise<Scene> => {
    const scene = machine.scene();
    const conf = scene.conf({}, delegate);
    await scene.ok('ADD', { conf });
    await scene.ok('ADD', { id: 'c2', netns: machine.pod().path, conf });
    return scene;
  };
  const valid = [{ containerID: 'c1', ifname: 'eth0' }];

  test('G01 what is listed stays, the rest goes', async () => {
    const scene = await two();
    await scene.ok('GC', { conf: scene.conf({ 'cni.dev/valid-attachments': valid }) });
    expect(scene.reserved()).toEqual([`${scene.v4}.2`]);
    expect(await scene.ports()).toHaveLength(1);
  });

  test.each([null, []])('G02 the list %j removes all', async (list) => {
    const scene = await two();
    await scene.ok('GC', { conf: scene.conf({ 'cni.dev/valid-attachments': list }) });
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('G03 without a list nothing is removed', async () => {
    const scene = await two();
    await scene.ok('GC');
    expect(scene.reserved()).toHaveLength(2);
  });

  test.each(['cni.dev/valid-attachments', 'cni.dev/attachments'])('G04 by the key %s', async (key) => {
    const scene = await two();
    await scene.ok('GC', { conf: scene.conf({ [key]: valid }) });
    expect(scene.reserved()).toEqual([`${scene.v4}.2`]);
  });

  test('G05 lock and last_reserved_ip stay', async () => {
    const scene = await two();
    await scene.ok('GC', { conf: scene.conf({ 'cni.dev/valid-attachments': [] }) });
    expect(fs.readdirSync(scene.addresses).toSorted()).toEqual(['last_reserved_ip.0', 'lock']);
  });

  test('G06 a file that names a valid container alone stays', async () => {
    const scene = await two();
    fs.writeFileSync(path.join(scene.addresses, `${scene.v4}.9`), 'c1');
    await scene.ok('GC', { conf: scene.conf({ 'cni.dev/valid-attachments': valid }) });
    expect(scene.reserved().toSorted()).toEqual([`${scene.v4}.2`, `${scene.v4}.9`]);
  });

  test('G07 the masquerade rules of what went go', async () => {
    const scene = await two({ ipMasq: true });
    const conf = scene.conf({ 'cni.dev/valid-attachments': valid }, { ipMasq: true });
    await scene.ok('GC', { conf });
    const rules = await machine.node.exec('iptables', '-t', 'nat', '-S');
    expect([rules.includes(`${scene.v4}.2/32`), rules.includes(`${scene.v4}.3/32`)]).toEqual([true, false]);
  });

  test('G08 STATUS is content', async () => {
    await machine.scene().ok('STATUS');
  });

  test('G09 STATUS is 50 without a subnet file or where nothing can be written, and content when the pool is full', async () => {
    const scene = machine.scene();
    scene.subnetEnv({ FLANNEL_SUBNET: `${scene.v4}.1/30` });
    await scene.ok('ADD');
    await scene.fails('ADD', { id: 'c2', netns: machine.pod().path });
    await scene.ok('STATUS');
    machine.mayRunAlone();
    fs.rmSync(scene.subnetFile);
    const failure = await scene.fails('STATUS');
    expect([failure.code, failure.msg]).toEqual([50, expect.stringContaining(scene.subnetFile)]);
    const unwritable = machine.scene();
    const networks = path.join(unwritable.directory, 'networks');
    fs.writeFileSync(networks, 'a file in the place of a directory');
    expect(await unwritable.fails('STATUS')).toMatchObject({
      code: 50,
      msg: expect.stringContaining(networks),
    });
  });

  test('G10 STATUS changes nothing and makes no file, however often it is asked', async () => {
    const scene = machine.scene();
    await Promise.all(Array.from({ length: 20 }, () => scene.ok('STATUS')));
    expect(fs.readdirSync(scene.directory)).toEqual(['subnet.env']);
    expect(await scene.leftovers()).toEqual(nothing);
  });
});
