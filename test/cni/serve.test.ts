import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Files } from '../../src/cni/records/files.ts';
import type { Reply } from '../../src/cni/launcher/frame.ts';
import { serve } from '../../src/cni/serve.ts';
import { Aborted, type Caller, NotMine, type PodNamespace, type World } from '../../src/cni/world.ts';
import { systemClock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';

const subnet = [
  'FLANNEL_NETWORK=10.244.0.0/16',
  'FLANNEL_SUBNET=10.244.1.1/24',
  'FLANNEL_MTU=1450',
  'FLANNEL_IPMASQ=true',
].join('\n');

const noKernel = (): never => {
  throw new Error('this test has no kernel');
};

/** A node without a kernel: whatever gets as far as that is an error. */
function world(files: Partial<Files> = {}): World {
  const session = { request: noKernel, dump: noKernel, batch: noKernel, close: noKernel };
  return {
    host: session as unknown as World['host'],
    hostNetns: '4:1',
    removeLink: noKernel,
    store: noKernel,
    existingStore: () => undefined,
    files: {
      read: () => undefined,
      readGiven: (file) => (file.endsWith('subnet.env') ? subnet : undefined),
      write: noKernel,
      expectWritable() {},
      remove: () => false,
      has: () => false,
      modified: () => undefined,
      list: () => [],
      ...files,
    },
    clock: systemClock,
    random: (bytes) => new Uint8Array(bytes),
    log: silentLog,
    run: () => Promise.resolve({ code: 1, stdout: '', stderr: '' }),
    bootTime: 0,
    adoptedBridges: new Set(),
    observeBridge: noKernel,
    forwarding: noKernel,
    beingMade: new Set(),
    masqueradeBackend: () => Promise.reject(new Error('no firewall')),
    expectMasquerade: () => Promise.resolve(),
  };
}

function caller(changes: Partial<Caller> = {}): Caller {
  return {
    pod: { state: 'missing' },
    podIsOwn: false,
    isWarm: true,
    begin() {},
    aborted: () => false,
    expect() {},
    expectSame() {},
    start: undefined,
    perform: () => Promise.resolve(false),
    afterwards: (work) => work(),
    expectDelegate: noKernel,
    delegate: noKernel,
    ...changes,
  };
}

const environment = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
};
const call = (CNI_COMMAND: string, document: unknown, by = caller(), node = world()) => {
  const stdin = Buffer.from(typeof document === 'string' ? document : JSON.stringify(document));
  return serve(node, { environment: { ...environment, CNI_COMMAND }, stdin }, by);
};
const configuration = { cniVersion: '1.1.0', name: 'cbr0', type: 'flannel' };

describe('the plugin', () => {
  test('tells its versions, compact with a newline, whatever it is given', async () => {
    const stdout =
      '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n';
    expect(await call('VERSION', 'nonsense')).toEqual({ status: 0, stdout, stderr: '' });
  });

  test('tells people what it is, on standard error', async () => {
    const { status, stdout, stderr } = await call('', '');
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
    expect(stderr).toMatch(/CNI protocol versions supported: 0.1.0, .*, 1.1.0\n$/);
  });

  test('writes errors in the version that was asked for', async () => {
    const { stdout } = await call('CHECK', { ...configuration, cniVersion: '0.3.1' });
    expect(JSON.parse(stdout)).toMatchObject({ cniVersion: '0.3.1', code: 1 });
    expect(JSON.parse((await call('ADD', '{')).stdout)).toMatchObject({ cniVersion: '1.1.0', code: 6 });
  });

  test.each([new NotMine('x'), new Aborted()])('lets %s through to whoever serves', async (error) => {
    const pod: PodNamespace = { state: 'open', fdOfCaller: -1, session: world().host };
    const by = caller({
      pod,
      expect: () => {
        throw error;
      },
    });
    await expect(call('ADD', configuration, by)).rejects.toBe(error);
  });

  test('has done nothing when the namespace is not there', async () => {
    let begun = false;
    const by = caller({ begin: () => void (begun = true) });
    expect(JSON.parse((await call('ADD', configuration, by)).stdout)).toMatchObject({ code: 3 });
    expect(begun).toBe(false);
  });
});

describe('whatever comes in', () => {
  /** Configurations near enough to real ones to get past the first check. */
  const scalar = fc.oneof(
    fc.boolean(),
    fc.integer(),
    fc.string(),
    fc.constant(null),
    fc.constant('10.244.1.0/24'),
  );
  const keys = [
    'type',
    'name',
    'ipam',
    'ranges',
    'routes',
    'dst',
    'gw',
    'subnet',
    'mtu',
    'vlan',
    'vlanTrunk',
    'ipMasq',
    'ips',
    'interfaces',
    'address',
    'containerID',
    'ifname',
    'mac',
    'cni',
    '__proto__',
    'constructor',
  ];
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 4 }, scalar, fc.array(tie('value'), { maxLength: 3 }), tie('object')),
    object: fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 4 }),
  }));
  const document = fc
    .dictionary(
      fc.constantFrom(
        'delegate',
        'ipam',
        'runtimeConfig',
        'args',
        'prevResult',
        'dataDir',
        'cni.dev/attachments',
      ),
      value,
      { maxKeys: 4 },
    )
    .map((changes) => ({ ...configuration, ...changes }));
  const anything = fc.oneof(
    document.map((each) => JSON.stringify(each)),
    fc.json(),
    fc.string(),
  );
  const verb = fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS');

  const oneDocument = ({ status, stdout, stderr }: Reply, name: string) => {
    if (status === 0 && stdout === '') return;
    const document: unknown = JSON.parse(stdout);
    expect(document).toBeTypeOf('object');
    expect(document).not.toBeNull();
    if (status === 0) return;
    const error = document as { code: number; msg: string };
    expect(stderr).toBe('');
    expect(error.code).toBeGreaterThan(0);
    expect(error.msg).toMatch(/./);
    if (name === 'DEL') expect(stdout).not.toMatch(/not found|no such file or directory/i);
  };

  test('the answer is one document, and its error has a code and a message', async () => {
    await fc.assert(
      fc.asyncProperty(verb, anything, async (name, stdin) => {
        oneDocument(await call(name, stdin), name);
      }),
      { numRuns: 500 },
    );
  });

  test('also when files of an earlier ADD are torn or strange', async () => {
    await fc.assert(
      fc.asyncProperty(verb, document, anything, async (name, given, text) => {
        const read = (file: string) => (file.endsWith('subnet.env') ? subnet : text);
        oneDocument(
          await call(name, given, caller(), world({ read, list: () => ['c1', 'c2:eth0', '.x'] })),
          name,
        );
      }),
      { numRuns: 300 },
    );
  });

  test('a subnet file of any content is understood or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), async (text) => {
        oneDocument(
          await call('STATUS', configuration, caller(), world({ readGiven: () => text })),
          'STATUS',
        );
      }),
    );
  });
});
