import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, Machine, nothing, referencePlugins, type Scene, ways } from './harness.ts';

const small = 'FLANNEL_SUBNET';

describe.each(ways)('IPAM, %s', (way) => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start(way);
  });
  afterAll(() => machine.stop());

  const addressesOf = (result: Json): string[] =>
    (result['ips'] as { address: string }[]).map(({ address }) => address);
  const add = async (scene: Scene, id: string, options: Parameters<Scene['ok']>[1] = {}): Promise<string[]> =>
    addressesOf(await scene.ok('ADD', { id, netns: machine.pod().path, ...options }));
  const text = (scene: Scene, name: string) => fs.readFileSync(path.join(scene.addresses, name), 'utf8');
  const write = (scene: Scene, name: string, content: string) => {
    fs.mkdirSync(scene.addresses, { recursive: true });
    fs.writeFileSync(path.join(scene.addresses, name), content);
  };
  /** Six addresses, of which the first is the gateway's. */
  const tiny = (): Scene => {
    const scene = machine.scene();
    scene.subnetEnv({ [small]: `${scene.v4}.1/29` });
    return scene;
  };

  test('I01 the first address is .2', async () => {
    const scene = machine.scene();
    expect(await add(scene, 'a')).toEqual([`${scene.v4}.2/24`]);
  });

  test('I02 an address’s file holds container and interface', async () => {
    const scene = machine.scene();
    await add(scene, 'a');
    expect(text(scene, `${scene.v4}.2`)).toBe('a\r\neth0');
    expect(fs.statSync(path.join(scene.addresses, `${scene.v4}.2`)).mode & 0o777).toBe(0o600);
  });

  test('I03 last_reserved_ip holds the address', async () => {
    const scene = machine.scene();
    await add(scene, 'a');
    expect(text(scene, 'last_reserved_ip.0')).toBe(`${scene.v4}.2`);
  });

  test('I04 goes on behind the last address after a release', async () => {
    const scene = machine.scene();
    await add(scene, 'a');
    await scene.ok('DEL', { id: 'a', netns: '' });
    expect(await add(scene, 'b')).toEqual([`${scene.v4}.3/24`]);
  });

  test('I05 begins anew at the end, and skips the gateway', async () => {
    const scene = tiny();
    for (const id of ['a', 'b', 'c', 'd', 'e']) await add(scene, id);
    await scene.ok('DEL', { id: 'b', netns: '' });
    expect(await add(scene, 'f')).toEqual([`${scene.v4}.3/29`]);
  });

  test('I06 says that none is free', async () => {
    const scene = tiny();
    for (const id of ['a', 'b', 'c', 'd', 'e']) await add(scene, id);
    const failure = await scene.fails('ADD', { id: 'f', netns: machine.pod().path });
    expect(failure.msg).toContain(`no IP addresses available in range set: ${scene.v4}.1-${scene.v4}.6`);
    expect(scene.reserved()).toHaveLength(5);
    expect(await scene.ports()).toHaveLength(5);
  });

  test('I07 never hands out network, gateway or broadcast address', async () => {
    const scene = tiny();
    for (const id of ['a', 'b', 'c', 'd', 'e']) await add(scene, id);
    expect(scene.reserved().toSorted()).toEqual([2, 3, 4, 5, 6].map((i) => `${scene.v4}.${i}`));
  });

  test('I08 a /31 is refused', async () => {
    const scene = machine.scene();
    scene.subnetEnv({ [small]: `${scene.v4}.1/31` });
    expect((await scene.fails('ADD')).msg).toContain('too small to allocate from');
  });

  test('I09 host bits in a subnet are refused', async () => {
    const scene = machine.scene();
    const conf = scene.conf({ runtimeConfig: { ipRanges: [[{ subnet: '10.9.9.9/24' }]] } });
    expect((await scene.fails('ADD', { conf })).msg).toContain('Network has host bits set');
  });

  test.each([
    [[[{ subnet: '10.9.0.0/16' }, { subnet: '10.9.1.0/24' }]], /subnets .* overlap/],
    [[[{ subnet: '10.9.0.0/16' }], [{ subnet: '10.9.1.0/24' }]], /range set 0 overlaps with 1/],
  ])('I10 overlapping ranges are refused', async (ipRanges, msg) => {
    const scene = machine.scene();
    expect((await scene.fails('ADD', { conf: scene.conf({ runtimeConfig: { ipRanges } }) })).msg).toMatch(
      msg,
    );
  });

  test('I11 families mixed in a set are refused', async () => {
    const scene = machine.scene();
    const ipRanges = [[{ subnet: '10.9.0.0/16' }, { subnet: 'fd09::/64' }]];
    const conf = scene.conf({ runtimeConfig: { ipRanges } });
    expect((await scene.fails('ADD', { conf })).msg).toContain('mixed address families');
  });

  test.each([
    ['CNI_ARGS', (scene: Scene) => ({ env: { CNI_ARGS: `IP=${scene.v4}.77` } })],
    [
      'args.cni.ips',
      (scene: Scene) => ({ conf: scene.conf({ args: { cni: { ips: [`${scene.v4}.77`] } } }) }),
    ],
    [
      'runtimeConfig.ips',
      (scene: Scene) => ({ conf: scene.conf({ runtimeConfig: { ips: [`${scene.v4}.77/24`] } }) }),
    ],
  ])('I12 an address that was asked for by %s', async (_name, options) => {
    const scene = machine.scene();
    expect(await add(scene, 'a', options(scene))).toEqual([`${scene.v4}.77/24`]);
  });

  test('I13 an address that cannot be had is said to be so', async () => {
    const scene = machine.scene();
    await add(scene, 'a');
    const ask = async (ip: string) =>
      (await scene.fails('ADD', { id: 'b', env: { CNI_ARGS: `IP=${ip}` } })).msg;
    expect(await ask(`${scene.v4}.1`)).toContain(`requested ip ${scene.v4}.1 is subnet's gateway`);
    expect(await ask(`${scene.v4}.2`)).toContain(`requested IP address ${scene.v4}.2 is not available`);
    expect(await ask('10.77.0.1')).toContain('failed to allocate all requested IPs: 10.77.0.1');
    expect(scene.reserved()).toEqual([`${scene.v4}.2`]);
  });

  test('I14 a second ADD for one interface is refused', async () => {
    const scene = machine.scene();
    await add(scene, 'a');
    const failure = await scene.fails('ADD', { id: 'a', netns: machine.pod().path });
    expect(failure.msg).toContain('duplicate allocation is not allowed');
    expect(scene.reserved()).toHaveLength(1);
  });

  test('I15 two interfaces of one container have an address each', async () => {
    const scene = machine.scene();
    await scene.ok('ADD');
    await scene.ok('ADD', { ifname: 'eth1' });
    expect(scene.reserved()).toHaveLength(2);
    await scene.ok('DEL', { ifname: 'eth1' });
    expect(scene.reserved()).toEqual([`${scene.v4}.2`]);
    await scene.ok('DEL');
    expect(await scene.leftovers()).toEqual(nothing);
  });

  test('I16 a file of the old format is released', async () => {
    const scene = machine.scene();
    write(scene, `${scene.v4}.9`, 'old');
    await scene.ok('DEL', { id: 'old', netns: '' });
    expect(scene.reserved()).toEqual([]);
  });

  test('I17 resolvConf goes into the result', async () => {
    const scene = machine.scene();
    const file = path.join(scene.directory, 'resolv.conf');
    fs.writeFileSync(file, 'nameserver 192.0.2.53\nsearch example.org\n');
    const result = await scene.ok('ADD', { conf: scene.conf({}, {}, { resolvConf: file }) });
    expect(result['dns']).toEqual({ nameservers: ['192.0.2.53'], search: ['example.org'] });
    const missing = scene.conf({}, {}, { resolvConf: '/none/such' });
    expect((await scene.fails('ADD', { id: 'b', netns: machine.pod().path, conf: missing })).msg).toContain(
      '/none/such',
    );
    // A daemon in a container has another file of that name.
    machine.mayRunAlone();
    const other = path.join(scene.directory, 'other.conf');
    fs.writeFileSync(other, 'nameserver 192.0.2.54\n');
    const program = path.join(scene.directory, 'elsewhere');
    const mounts = `mount --bind ${other} ${file}; exec ${machine.flannel}`;
    fs.writeFileSync(program, `#!/bin/sh\nexec unshare -m sh -c '${mounts}'\n`, { mode: 0o755 });
    const conf = JSON.stringify(scene.conf({}, {}, { resolvConf: file }));
    const environment = scene.environment('ADD', { id: 'c', netns: machine.pod().path });
    const { stdout } = await machine.exec(environment, conf, program);
    expect(JSON.parse(stdout)).toMatchObject({ dns: { nameservers: ['192.0.2.54'] } });
  });

  test('I18 an empty file, as a crash leaves it, is no reservation', async () => {
    const scene = machine.scene();
    write(scene, `${scene.v4}.2`, '');
    expect(await add(scene, 'a')).toEqual([`${scene.v4}.2/24`]);
  });

  test('I19 the real host-local and ours work in one directory', async () => {
    const scene = machine.scene();
    const hostLocal = async (verb: string, id: string) => {
      const conf = {
        cniVersion: '1.0.0',
        name: scene.network,
        ipam: {
          type: 'host-local',
          dataDir: path.dirname(scene.addresses),
          ranges: [[{ subnet: `${scene.v4}.0/24` }]],
        },
      };
      const environment = scene.environment(verb, { id });
      const run = await machine.exec(
        environment,
        JSON.stringify(conf),
        path.join(referencePlugins, 'host-local'),
      );
      expect(run.status, run.stdout).toBe(0);
      return run.stdout;
    };
    await add(scene, 'ours');
    expect(await hostLocal('ADD', 'theirs')).toContain(`${scene.v4}.3/24`);
    expect(await add(scene, 'ours2')).toEqual([`${scene.v4}.4/24`]);
    await hostLocal('DEL', 'ours');
    await scene.ok('DEL', { id: 'theirs', netns: '' });
    expect(scene.reserved()).toEqual([`${scene.v4}.4`]);
  });

  // What it costs is counted, not timed, in test/ipam/store.test.ts.
  test('I20 an address is found as well among ten thousand', async () => {
    const scene = machine.scene();
    scene.subnetEnv({ FLANNEL_NETWORK: '10.0.0.0/8', [small]: '10.77.0.1/16' });
    for (let i = 0; i < 10_000; i++) write(scene, `10.77.${i >> 8}.${i & 255}`, `c${i}\r\neth0`);
    expect(await add(scene, 'new')).toEqual(['10.77.39.16/16']);
    expect(await add(scene, 'next')).toEqual(['10.77.39.17/16']);
  });
});
