import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, Machine, type Scene, versions, ways } from './harness.ts';

describe.each(ways)('protocol, %s', (way) => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start(way);
  });
  afterAll(() => machine.stop());

  test('P01 VERSION answers its versions in one line', async () => {
    const run = await machine.scene().run('VERSION', { stdin: '{"cniVersion":"1.0.0"}' });
    expect(run.status).toBe(0);
    expect(run.stdout.endsWith('\n')).toBe(true);
    expect(JSON.parse(run.stdout)).toEqual({ cniVersion: '1.1.0', supportedVersions: versions });
  });

  test.each(['', '{}'])('P02 VERSION with standard input %j', async (stdin) => {
    expect((await machine.scene().run('VERSION', { stdin })).status).toBe(0);
  });

  test('P03 VERSION needs no other variable', async () => {
    const run = await machine.exec({ CNI_COMMAND: 'VERSION' }, '{}');
    expect([run.status, JSON.parse(run.stdout).cniVersion]).toEqual([0, '1.1.0']);
  });

  test('P04 without CNI_COMMAND it tells about itself on stderr', async () => {
    const run = await machine.exec({}, '');
    expect([run.status, run.stdout]).toEqual([0, '']);
    expect(run.stderr).toMatch(/CNI protocol versions supported: 0\.1\.0, .*1\.1\.0/);
  });

  test('P05 an unknown verb is code 4', async () => {
    expect(await machine.scene().fails('JUMP')).toMatchObject({ code: 4, msg: 'unknown CNI_COMMAND: JUMP' });
  });

  test.each([
    ['ADD', 'CNI_CONTAINERID'],
    ['ADD', 'CNI_NETNS'],
    ['ADD', 'CNI_IFNAME'],
    ['ADD', 'CNI_PATH'],
    ['DEL', 'CNI_CONTAINERID'],
    ['DEL', 'CNI_IFNAME'],
    ['DEL', 'CNI_PATH'],
    ['CHECK', 'CNI_CONTAINERID'],
    ['CHECK', 'CNI_NETNS'],
    ['CHECK', 'CNI_IFNAME'],
    ['GC', 'CNI_PATH'],
    ['STATUS', 'CNI_PATH'],
  ])('P06 %s without %s is code 4 and names it', async (verb, name) => {
    const failure = await machine.scene().fails(verb, { env: { [name]: undefined } });
    expect(failure).toMatchObject({ code: 4, msg: `required env variables [${name}] missing` });
  });

  test('P07 several that are missing are named in order', async () => {
    const env = { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '' };
    const failure = await machine.scene().fails('ADD', { env });
    expect(failure).toMatchObject({
      code: 4,
      msg: 'required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing',
    });
  });

  test.each(['-a', 'a/b', '..', 'a b', 'ä'])('P08 the container ID %j is code 4', async (id) => {
    const failure = await machine.scene().fails('ADD', { id });
    expect(failure).toMatchObject({ code: 4, msg: 'invalid characters in containerID', details: id });
  });

  test('P09 an interface name of 16 bytes is code 4', async () => {
    const failure = await machine.scene().fails('ADD', { ifname: 'a234567890123456' });
    expect(failure).toMatchObject({ code: 4, msg: 'interface name is too long' });
  });

  test.each(['.', '..'])('P10 the interface name %j is code 4', async (ifname) => {
    const failure = await machine.scene().fails('ADD', { ifname });
    expect(failure).toMatchObject({ code: 4, msg: 'interface name is . or ..' });
  });

  test.each(['a/b', 'a:b', 'a b', 'a\tb'])('P11 the interface name %j is code 4', async (ifname) => {
    const failure = await machine.scene().fails('ADD', { ifname });
    expect(failure).toMatchObject({
      code: 4,
      msg: 'interface name contains / or : or whitespace characters',
    });
  });

  test.each(['', 'no', '{"a":', '[]', '"x"'])('P12 standard input %j is code 6', async (stdin) => {
    expect(await machine.scene().fails('ADD', { stdin })).toMatchObject({ code: 6 });
  });

  test.each([
    [undefined, 'missing network name'],
    ['', 'missing network name'],
    ['a/b', 'invalid characters found in network name'],
    ['..', 'invalid characters found in network name'],
  ])('P13 the network name %j is code 7', async (name, msg) => {
    const scene = machine.scene();
    expect(await scene.fails('ADD', { conf: scene.conf({ name }) })).toMatchObject({ code: 7, msg });
  });

  test.each(['1.2.0', '0.5.0', '1.0', 'x'])('P14 cniVersion %j is code 1', async (cniVersion) => {
    const scene = machine.scene();
    const failure = await scene.fails('ADD', { conf: scene.conf({ cniVersion }) });
    expect(failure).toMatchObject({ code: 1, msg: 'incompatible CNI versions' });
    expect(failure.details).toContain(`config is "${cniVersion}", plugin supports ["0.1.0"`);
  });

  test('P15 without cniVersion the answer is of 0.1.0', async () => {
    const scene = machine.scene();
    const result = await scene.ok('ADD', { conf: scene.conf({ cniVersion: undefined }) });
    expect(result).toMatchObject({ cniVersion: '0.1.0', ip4: { ip: `${scene.v4}.2/24` } });
  });

  test('P16 CHECK of a configuration before 0.4.0 is code 1', async () => {
    const scene = machine.scene();
    const failure = await scene.fails('CHECK', { conf: scene.conf({ cniVersion: '0.3.1' }) });
    expect(failure).toMatchObject({ code: 1, msg: 'config version does not allow CHECK' });
  });

  test.each(['GC', 'STATUS'])('P17 %s of a configuration before 1.1.0 is code 1', async (verb) => {
    const scene = machine.scene();
    const failure = await scene.fails(verb, { conf: scene.conf({ cniVersion: '1.0.0' }) });
    expect(failure).toMatchObject({ code: 1, msg: `config version does not allow ${verb}` });
  });

  test('P18 an error has cniVersion, code, msg and details', async () => {
    const scene = machine.scene();
    const failure = await scene.fails('ADD', { id: 'a/b', conf: scene.conf({ cniVersion: '1.0.0' }) });
    expect(Object.keys(failure)).toEqual(['cniVersion', 'code', 'msg', 'details']);
  });

  test('P19 one JSON document and no more when CNI_NETNS is the node itself', async () => {
    const scene = machine.scene();
    const failure = await scene.fails('ADD', { netns: machine.node.path });
    expect(failure).toMatchObject({
      code: 8,
      msg: "plugin's netns and netns from CNI_NETNS should not be the same",
    });
    expect(await scene.leftovers()).toEqual({ reserved: [], ports: [], files: [] });
  });

  test('P20 nothing has to be read from stderr', async () => {
    const run = await machine.scene().run('ADD');
    expect([run.status, run.stderr]).toEqual([0, '']);
  });

  test('P21 keys in any letter case', async () => {
    const scene = machine.scene();
    const { delegate, ipam, ...rest } = scene.conf();
    const conf = { ...rest, Delegate: upper(delegate as Json), IPAM: upper(ipam as Json) };
    expect(ipsOf(await scene.ok('ADD', { conf }))).toEqual([`${scene.v4}.2/24`]);
    expect(await scene.ports()).toHaveLength(1);
  });

  test('P22 an unknown key in CNI_ARGS fails without IgnoreUnknown', async () => {
    const scene = machine.scene();
    const failure = await scene.fails('ADD', { env: { CNI_ARGS: 'K8S_POD_NAME=x' } });
    expect(failure.msg).toMatch(/unknown args/);
    await scene.ok('ADD', { env: { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=x' } });
  });

  test.each(['IP=;', 'IP=1=2', 'IP'])('P23 CNI_ARGS %j fails', async (args) => {
    const failure = await machine.scene().fails('ADD', { env: { CNI_ARGS: args } });
    expect(failure.msg).toMatch(/ARGS: invalid pair/);
  });

  test('P24 null counts as absent', async () => {
    const scene = machine.scene();
    const conf = scene.conf(
      { runtimeConfig: null, args: null, prevResult: null },
      { mtu: null, ipMasq: null },
    );
    expect(ipsOf(await scene.ok('ADD', { conf }))).toEqual([`${scene.v4}.2/24`]);
    expect(await scene.link(scene.pod, 'eth0')).toMatchObject({ mtu: 1450 });
  });
});

const upper = (object: Json): Json =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key.toUpperCase(), value]));

const ipsOf = (result: Json): string[] =>
  (result['ips'] as { address: string }[]).map(({ address }) => address);

describe.each(ways)('versions, %s', (way) => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await Machine.start(way);
  });
  afterAll(() => machine.stop());

  const dual = (): Scene => {
    const scene = machine.scene();
    scene.dualStack();
    return scene;
  };
  const old = { '0.1.0': 'V01', '0.2.0': 'V02' };
  const rich = { '0.3.0': 'V03', '0.3.1': 'V04', '0.4.0': 'V05', '1.0.0': 'V06', '1.1.0': 'V07' };

  test.each(Object.entries(old).map(([version, number]) => [number, version]))(
    '%s the result of %s has ip4, ip6 and dns',
    async (_number, cniVersion) => {
      const scene = dual();
      const result = await scene.ok('ADD', { conf: scene.conf({ cniVersion }) });
      expect(Object.keys(result)).toEqual(['cniVersion', 'ip4', 'ip6', 'dns']);
      expect(result).toMatchObject({
        cniVersion,
        ip4: { ip: `${scene.v4}.2/24`, gateway: `${scene.v4}.1` },
        ip6: { ip: `${scene.v6}2/64`, gateway: `${scene.v6}1` },
        dns: {},
      });
    },
  );

  test.each(Object.entries(rich).map(([version, number]) => [number, version]))(
    '%s the result of %s has interfaces, ips and routes',
    async (_number, cniVersion) => {
      const scene = dual();
      const result = (await scene.ok('ADD', { conf: scene.conf({ cniVersion }) })) as {
        cniVersion: string;
        interfaces: Json[];
        ips: Json[];
        routes: Json[];
      };
      expect(result.cniVersion).toBe(cniVersion);
      expect(result.interfaces.map(({ name, sandbox }) => [name, sandbox])).toEqual([
        [scene.bridge, undefined],
        [expect.stringMatching(/^veth/), undefined],
        ['eth0', scene.pod.path],
      ]);
      const withVersion = cniVersion.startsWith('0.');
      expect(result.ips).toEqual([
        {
          ...(withVersion && { version: '4' }),
          address: `${scene.v4}.2/24`,
          gateway: `${scene.v4}.1`,
          interface: 2,
        },
        {
          ...(withVersion && { version: '6' }),
          address: `${scene.v6}2/64`,
          gateway: `${scene.v6}1`,
          interface: 2,
        },
      ]);
      expect(result.routes).toContainEqual({ dst: '10.244.0.0/16' });
      expect(result.routes).toContainEqual({ dst: '0.0.0.0/0', gw: `${scene.v4}.1` });
    },
  );

  test.each(versions)('V08 an empty dns of %s is {} or left out', async (cniVersion) => {
    const scene = machine.scene();
    const result = await scene.ok('ADD', { conf: scene.conf({ cniVersion }) });
    expect(result['dns']).toEqual(cniVersion.startsWith('0.') ? {} : undefined);
  });

  test('V09 the interface of an address is printed, also as a number', async () => {
    const scene = machine.scene();
    const { ips } = (await scene.ok('ADD')) as { ips: Json[] };
    expect(ips[0]).toHaveProperty('interface', 2);
  });

  test('V10 the dual-stack result of 0.2.0 has the routes of each family', async () => {
    const scene = dual();
    const { ip4, ip6 } = (await scene.ok('ADD', { conf: scene.conf({ cniVersion: '0.2.0' }) })) as Record<
      string,
      { routes: { dst: string }[] }
    >;
    expect(ip4?.routes.map(({ dst }) => dst)).toEqual(['10.244.0.0/16', '0.0.0.0/0']);
    expect(ip6?.routes.map(({ dst }) => dst)).toEqual(['fd00:244::/48', '::/0']);
  });

  test('V11 a result that 0.2.0 has no room for is refused before anything is done', async () => {
    const scene = machine.scene();
    const ranges = [[{ subnet: '10.250.0.0/24' }], [{ subnet: '10.251.0.0/24' }]];
    const conf = scene.conf({ cniVersion: '0.2.0', runtimeConfig: { ipRanges: ranges } });
    await scene.fails('ADD', { conf });
    expect(await scene.leftovers()).toEqual({ reserved: [], ports: [], files: [] });
  });

  test('V12 a prevResult of another version is taken, or refused with a code', async () => {
    const scene = machine.scene();
    const result = await scene.ok('ADD', { conf: scene.conf({ cniVersion: '1.0.0' }) });
    await scene.ok('CHECK', { conf: scene.conf({ prevResult: result }) });
    await scene.ok('CHECK', {
      conf: scene.conf({ cniVersion: '1.0.0', prevResult: { ...result, cniVersion: '1.1.0' } }),
    });
    const broken = await scene.fails('CHECK', {
      conf: scene.conf({ prevResult: { cniVersion: '1.1.0', ips: 'x' } }),
    });
    expect([6, 7, 999]).toContain(broken.code);
  });
});
