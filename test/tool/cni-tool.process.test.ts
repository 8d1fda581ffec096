import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { programs, tool } from './cni-tool.ts';

const reference = '/usr/lib/cni';
let counter = 0;

describe('cni-tool with any plugin', () => {
  const before = new Set(fs.readdirSync('/run/netns'));
  const scratchNamespaces = () =>
    fs.readdirSync('/run/netns').filter((name) => name.startsWith('cni-tool-') && !before.has(name));

  /** A directory with a configuration, and a node of its own for the plugins to work on. */
  function scene(plugins: object[]): { conflist: string; namespace: string; directory: string } {
    const directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-tool-'));
    const namespace = `fl-${process.pid}-tool-${counter++}`;
    spawnSync('ip', ['netns', 'add', namespace]);
    onTestFinished(() => {
      spawnSync('ip', ['netns', 'del', namespace]);
      fs.rmSync(directory, { recursive: true, force: true });
    });
    const conflist = path.join(directory, '10-x.conflist');
    fs.writeFileSync(conflist, JSON.stringify({ cniVersion: '1.0.0', name: 'toolnet', plugins }));
    return { conflist, namespace, directory };
  }
  const bridge = (directory: string) => ({
    type: 'bridge',
    bridge: 'br0',
    isGateway: true,
    ipam: { type: 'host-local', dataDir: directory, ranges: [[{ subnet: '10.9.0.0/24' }]] },
  });

  test('add shows request, result and time, and what changed; check and del need no more', () => {
    const probe = scene([]);
    const { conflist, namespace } = scene([bridge(probe.directory), { type: 'portmap', capabilities: {} }]);
    const add = tool(['add', '--conflist', conflist, '--cni-path', reference, '-v'], namespace);
    expect(add.stdout + add.stderr).toMatch(/ok +bridge +\d/);
    expect(add.status).toBe(0);
    expect(add.stdout).toMatch(/\+ link br0 type bridge/);
    expect(add.stdout).toMatch(/\+ pod: address 10\.9\.0\.2\/24 dev eth0/);
    expect(tool(['check'], namespace).status).toBe(0);
    const del = tool(['del', '-v'], namespace);
    expect([del.status, del.stdout]).toEqual([0, expect.stringMatching(/- pod: address 10\.9\.0\.2\/24/)]);
    expect(scratchNamespaces()).toEqual([]);
  });

  test('ours, without a daemon', () => {
    const { conflist, namespace, directory } = scene([]);
    const subnetFile = path.join(directory, 'subnet.env');
    fs.writeFileSync(
      subnetFile,
      'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n',
    );
    const flannel = {
      type: 'flannel',
      subnetFile,
      dataDir: path.join(directory, 'flannel'),
      ipam: { dataDir: path.join(directory, 'networks') },
    };
    fs.writeFileSync(conflist, JSON.stringify({ cniVersion: '1.1.0', name: 'toolnet', plugins: [flannel] }));
    const args = ['--conflist', conflist, '--cni-path', programs];
    for (const verb of ['version', 'status']) expect(tool([verb, ...args], namespace).status, verb).toBe(0);
    const add = tool(['add', ...args], namespace);
    expect([add.status, add.stdout]).toEqual([0, expect.stringContaining('10.244.1.2/24')]);
    expect(tool(['gc', ...args], namespace)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--keep'),
    });
    expect(tool(['check'], namespace).status).toBe(0);
    expect(tool(['del'], namespace).status).toBe(0);
    expect(fs.readdirSync(path.join(directory, 'networks', 'toolnet')).toSorted()).toEqual([
      'last_reserved_ip.0',
      'lock',
    ]);
  });

  test.each([
    [['add', '--conflist', '/none/such'], /cannot read the network configuration \/none\/such/],
    [['del', '--container-id', 'nobody'], /0 attachments begin with "nobody"|nothing was added by hand/],
    [['lab', 'status', '--name', 'none'], /there is no lab "none"/],
  ])('%j is refused with a sentence and status 2', (args, sentence) => {
    const { status, stderr } = tool(args);
    expect([status, stderr]).toEqual([2, expect.stringMatching(sentence)]);
    expect(stderr).not.toContain('    at ');
  });

  test.each([
    [['--capability-args', 'nonsense'], /--capability-args must be a JSON object/],
    [['--container-id', 'no/name'], /"no\/name" cannot be a container ID/],
    [['--container-id', '../no-name'], /"\.\.\/no-name" cannot be a container ID/],
  ])('add %j is refused, and leaves nothing', (args, sentence) => {
    const { conflist, namespace } = scene([{ type: 'loopback' }]);
    const { status, stderr } = tool(
      ['add', '--conflist', conflist, '--cni-path', reference, ...args],
      namespace,
    );
    expect([status, stderr]).toEqual([2, expect.stringMatching(sentence)]);
    expect(scratchNamespaces()).toEqual([]);
    expect(fs.existsSync('/run/no-name')).toBe(false);
  });

  test('add takes nothing from an attachment that is there: by its namespace, its ID, or both', () => {
    const { conflist, namespace, directory } = scene([]);
    fs.writeFileSync(
      conflist,
      JSON.stringify({ cniVersion: '1.0.0', name: 'toolnet', plugins: [bridge(directory)] }),
    );
    const pod = `${namespace}-pod`;
    spawnSync('ip', ['netns', 'add', pod]);
    onTestFinished(() => void spawnSync('ip', ['netns', 'del', pod]));
    const netns = `/run/netns/${pod}`;
    // Another program's: the tool knows nothing of it.
    const environment = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'live', CNI_NETNS: netns, CNI_IFNAME: 'eth0' };
    const request = JSON.stringify({ cniVersion: '1.0.0', name: 'toolnet', ...bridge(directory) });
    const made = spawnSync('nsenter', [`--net=/run/netns/${namespace}`, `${reference}/bridge`], {
      env: { ...environment, CNI_PATH: reference },
      input: request,
    });
    expect(made.status).toBe(0);
    const add = (...args: string[]) =>
      tool(['add', '--conflist', conflist, '--cni-path', reference, ...args], namespace);
    for (const args of [
      ['--container-id', 'live', '--netns', netns],
      ['--netns', netns],
    ]) {
      expect(add(...args)).toMatchObject({
        status: 2,
        stderr: `there is an eth0 in ${netns} already: remove that attachment first, or choose another --ifname\n`,
      });
    }
    expect(add('--container-id', 'live')).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(
        /FAIL +bridge[^]*Not undone: "live" may be the ID of an attachment that was there before[^]*cni-tool del --container-id live/,
      ),
    });
    expect(
      spawnSync('ip', ['-n', pod, '-4', 'address', 'show', 'eth0'], { encoding: 'utf8' }).stdout,
    ).toContain('10.9.0.2/24');
    expect(fs.readFileSync(path.join(directory, 'toolnet', '10.9.0.2'), 'utf8')).toContain('live');
    expect(fs.existsSync('/run/netns/live')).toBe(false);
  });

  test('the command that undoes an add which failed can be pasted into a shell', () => {
    const probe = scene([]);
    const { conflist, namespace, directory } = scene([bridge(probe.directory), { type: 'fails' }]);
    const odd = path.join(directory, "the node's plugins; $(false)");
    fs.mkdirSync(odd);
    fs.renameSync(conflist, path.join(odd, 'x.conflist'));
    const seen = path.join(directory, 'seen');
    const script = `#!/bin/sh\necho $CNI_COMMAND "$CNI_ARGS" >>${seen}; cat >>${seen}; [ $CNI_COMMAND != ADD ]\n`;
    fs.writeFileSync(path.join(odd, 'fails'), script, { mode: 0o755 });
    for (const name of ['bridge', 'host-local'])
      fs.symlinkSync(path.join(reference, name), path.join(odd, name));
    const where = ['--conflist', path.join(odd, 'x.conflist'), '--cni-path', odd];
    const more = ['--args', 'IgnoreUnknown=1;A=b c', '--capability-args', '{"portMappings":[]}'];
    const id = `cni-tool-${namespace}`;
    const add = tool(['add', '--container-id', id, ...where, ...more], namespace);
    expect([add.status, add.stdout]).toEqual([1, expect.stringContaining('Not undone')]);
    const reserved = path.join(probe.directory, 'toolnet', '10.9.0.2');
    expect(fs.existsSync(reserved)).toBe(true);
    const hint = add.stdout.match(/^ +cni-tool (del .*)$/m)?.[1] ?? '';
    expect(hint).toContain(`--capability-args '{"portMappings":[]}'`);
    const command = `exec nsenter --net=/run/netns/${namespace} ${programs}/cni-tool ${hint}`;
    expect(spawnSync('sh', ['-c', command]).status).toBe(0);
    expect(fs.readFileSync(seen, 'utf8')).toContain('DEL IgnoreUnknown=1;A=b c');
    expect(fs.existsSync(reserved)).toBe(false);
  });

  test('one that was added by hand is not added again', () => {
    const probe = scene([]);
    const { conflist, namespace } = scene([bridge(probe.directory)]);
    const id = `cni-tool-${namespace}`;
    const args = ['add', '--conflist', conflist, '--cni-path', reference, '--container-id', id];
    expect(tool(args, namespace).status).toBe(0);
    expect(tool(args, namespace)).toMatchObject({
      status: 2,
      stderr: `"${id}" has an eth0 that was added by hand: cni-tool del --container-id ${id}\n`,
    });
    expect(tool(['del', '--container-id', id], namespace).status).toBe(0);
    expect(scratchNamespaces()).toEqual([]);
  });

  test('gc with a --keep that names nothing is refused, and asks no plugin', () => {
    const { conflist, namespace } = scene([{ type: 'loopback' }]);
    const args = ['gc', '--conflist', conflist, '--cni-path', reference, '--keep', ' live'];
    expect(tool(args, namespace)).toEqual(
      expect.objectContaining({
        status: 2,
        stdout: '',
        stderr: expect.stringMatching(/^--keep " live" names no/),
      }),
    );
  });

  test.each([
    [['lab', 'up', '--nodes', '1'], /^EROFS: read-only file system, mkdir '\/run\/flannelette-lab'\n$/],
    [['del'], /^\/run\/cni-tool\/x-eth0\.json cannot be used, remove it: .*JSON.*\n$/],
  ])('%j where nothing can be written, and what was is torn', (args, sentence) => {
    const script =
      'mount -t tmpfs run /run && mkdir /run/cni-tool && echo "{" > /run/cni-tool/x-eth0.json && mount -o remount,ro /run && exec "$@"';
    const command = ['-m', 'sh', '-c', script, 'sh', path.join(programs, 'cni-tool'), ...args];
    const { status, stderr } = spawnSync('unshare', command, { encoding: 'utf8' });
    expect([status, stderr]).toEqual([2, expect.stringMatching(sentence)]);
  });

  test('an unknown plugin is named with where it was looked for', () => {
    const { conflist, namespace } = scene([{ type: 'wormhole' }]);
    const { status, stderr } = tool(['add', '--conflist', conflist, '--cni-path', reference], namespace);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/no plugin "wormhole" in \/usr\/lib\/cni/)]);
    expect(scratchNamespaces()).toEqual([]);
  });
});

test.each([
  ['add', ['--netns', '--conflist'], ['--keep', '--none']],
  ['check', ['--container-id'], ['--keep', '--none']],
  ['gc', ['--keep', '--none'], ['--netns', '--container-id', '--capability-args']],
  ['status', ['--conflist', '--cni-path'], ['--keep', '--netns', '--ifname']],
])('the help of %s names what it takes, and nothing else', (verb, some, none) => {
  const { status, stdout } = tool([verb, '--help']);
  expect(status).toBe(0);
  for (const option of some) expect(stdout).toContain(` ${option} `);
  for (const option of none) expect(stdout).not.toContain(option);
});

describe('a command line that makes no sense gets one sentence:', () => {
  const verbs = 'add, del, check, gc, status, version, node or lab';
  test.each([
    ['', `what shall it do? ${verbs}; see cni-tool --help`],
    ['dell', 'there is no command dell; did you mean del? See cni-tool --help'],
    ['ad --conflst x', 'there is no command ad; did you mean add? See cni-tool --help'],
    ['constructor', 'there is no command constructor; see cni-tool --help'],
    ['--foo', 'there is no option --foo; see cni-tool --help'],
    ['add --conflst x', 'there is no option --conflst; did you mean --conflist? See cni-tool add --help'],
    ['add --cni-paht=x', 'there is no option --cni-paht; did you mean --cni-path? See cni-tool add --help'],
    ['node -x', 'there is no option -x; see cni-tool node --help'],
    ['add extra', 'cni-tool add has no use for extra; see cni-tool add --help'],
    ['add --conflist', '--conflist needs a value; see cni-tool add --help'],
    ['gc --keep --none', '--keep needs a value; see cni-tool gc --help'],
    ['lab', 'what about the lab? up, status, exec or down; see cni-tool lab --help'],
    ['lab stat', 'there is no command stat; did you mean status? See cni-tool lab --help'],
    ['lab exec', 'lab exec needs a node or a pod, such as node-1/pod-1; see cni-tool --help'],
    ['lab up --nodes', '--nodes needs a value; see cni-tool lab up --help'],
    ['lab up --family v5', '--family "v5" is none of "v4", "v6", "dual"; see cni-tool lab up --help'],
    [
      'lab down --name !',
      '--name "!": use up to 20 lower-case letters, digits and hyphens; see cni-tool lab down --help',
    ],
  ])('%s', (line, sentence) => {
    const { status, stdout, stderr } = tool(line.split(' ').filter(Boolean));
    expect({ status, stdout, stderr }).toEqual({ status: 2, stdout: '', stderr: `${sentence}\n` });
  });
});
