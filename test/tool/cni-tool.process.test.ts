import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';

const programs = path.resolve(import.meta.dirname, '../../build/bin');
const reference = '/usr/lib/cni';

/** In a namespace of its own, so that "this node" is the test's. */
function tool(args: string[], namespace?: string): { status: number | null; stdout: string; stderr: string } {
  const program = [path.join(programs, 'cni-tool'), ...args];
  const [file = '', ...rest] =
    namespace === undefined ? program : ['nsenter', `--net=/run/netns/${namespace}`, ...program];
  return spawnSync(file, rest, { encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' }, timeout: 50_000 });
}

let counter = 0;
const labName = (): string => {
  const name = `t${process.pid}-${counter++}`;
  onTestFinished(() => void tool(['lab', 'down', '--name', name]));
  return name;
};

const leftOf = (name: string): string[] => [
  ...fs.readdirSync('/run/netns').filter((netns) => netns.startsWith(`fl-lab-${name}`)),
  ...(fs.existsSync(`/run/flannelette-lab/${name}`) ? ['directory'] : []),
  ...processes().filter((line) => line.includes(`/run/flannelette-lab/${name}/`)),
];

function processes(): string[] {
  return fs.readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const command = fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return [`${command} in ${fs.readlinkSync(`/proc/${pid}/ns/net`)}`];
    } catch {
      return [];
    }
  });
}

describe('cni-tool lab', () => {
  test.each([
    ['v4', 'vxlan'],
    ['v6', 'vxlan'],
    ['dual', 'vxlan'],
    ['dual', 'wireguard'],
  ])('up, status, exec and down, %s, %s', async (family, backend) => {
    const name = labName();
    const up = tool(['lab', 'up', '--name', name, '--nodes', '2', '--family', family, '--backend', backend]);
    expect(up.stdout + up.stderr).toMatch(/is up after/);
    expect(up.status).toBe(0);
    expect(up.stdout).toMatch(/node-2 .* 1 +1\/1 +ready/);
    expect(up.stdout).not.toContain('lost');
    const status = tool(['lab', 'status', '--name', name]);
    expect([status.status, status.stdout]).toEqual([0, expect.stringContaining('node-1/pod-1')]);
    const route = tool([
      'lab',
      'exec',
      '--name',
      name,
      'node-1',
      '--',
      'ip',
      ...(family === 'v6' ? ['-6'] : []),
      'route',
    ]);
    expect([route.status, route.stdout]).toEqual([0, expect.stringMatching(/dev flannel/)]);
    expect(tool(['lab', 'exec', '--name', name, 'node-1/pod-1', '--', 'sh', '-c', 'exit 7']).status).toBe(7);
    const node = `net:[${fs.statSync(`/run/netns/fl-lab-${name}-node-1`).ino}]`;
    expect(tool(['lab', 'down', '--name', name]).status).toBe(0);
    expect(leftOf(name)).toEqual([]);
    // wireguard-go ends by itself, when its device is gone.
    await expect.poll(() => processes().filter((line) => line.includes(node))).toEqual([]);
  });

  test.each([0.1, 0.25, 0.5])('Ctrl-C after %s s leaves nothing', async (seconds) => {
    const name = labName();
    const child = spawn(path.join(programs, 'cni-tool'), ['lab', 'up', '--name', name, '--pods', '5'], {
      stdio: 'ignore',
    });
    const ended = new Promise<number | null>((resolve) => {
      child.once('close', resolve);
    });
    await new Promise((resolve) => {
      setTimeout(resolve, seconds * 1000);
    });
    child.kill('SIGINT');
    const status = await ended;
    // It may have been up before the signal came, or not yet have begun.
    if (status === 0) tool(['lab', 'down', '--name', name]);
    expect(leftOf(name)).toEqual([]);
  });

  test('goes on when nobody reads what it prints', () => {
    const name = labName();
    const up = spawnSync('sh', ['-c', `${programs}/cni-tool lab up --name ${name} --nodes 1 | true`], {
      encoding: 'utf8',
    });
    expect(up.stderr).toBe('');
    expect(tool(['lab', 'status', '--name', name]).status).toBe(0);
  });

  test('a second one of the same name is refused, and the first goes on', () => {
    const name = labName();
    tool(['lab', 'up', '--name', name, '--nodes', '1', '--pods', '0']);
    const again = tool(['lab', 'up', '--name', name]);
    expect([again.status, again.stderr]).toEqual([
      2,
      expect.stringContaining(`there is a lab "${name}" already`),
    ]);
    expect(tool(['lab', 'status', '--name', name]).status).toBe(0);
  });

  test('one that cannot come up says why and leaves nothing', () => {
    const name = labName();
    const up = tool(['lab', 'up', '--name', name, '--backend', 'wormhole']);
    expect([up.status, up.stderr]).toEqual([2, expect.stringContaining('wormhole')]);
    expect(leftOf(name)).toEqual([]);
  });

  test('flanneld that is away is told, by lab and by node', () => {
    const name = labName();
    tool(['lab', 'up', '--name', name, '--nodes', '2', '--pods', '0']);
    const directory = `/run/flannelette-lab/${name}/node-1`;
    const node = tool(['node', '--socket', `${directory}/flanneld.sock`]);
    expect([node.status, node.stdout]).toEqual([0, expect.stringMatching(/NODE +node-1[\s\S]*All is well/)]);
    const json = JSON.parse(
      tool(['node', '--json', '--socket', `${directory}/flanneld.sock`]).stdout,
    ) as object;
    expect(json).toMatchObject({ node: 'node-1', backend: 'vxlan', waitingFor: [] });
    const { pid } = JSON.parse(fs.readFileSync(`${directory}/flanneld.pid`, 'utf8')) as { pid: number };
    process.kill(pid, 'SIGKILL');
    const status = tool(['lab', 'status', '--name', name]);
    expect([status.status, status.stdout]).toEqual([
      1,
      expect.stringMatching(/node-1 .*flanneld does not answer/),
    ]);
    const away = tool(['node', '--socket', `${directory}/flanneld.sock`]);
    expect([away.status, away.stderr]).toEqual([2, expect.stringContaining('flanneld does not answer at')]);
  });
});

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

  test('an unknown plugin is named with where it was looked for', () => {
    const { conflist, namespace } = scene([{ type: 'wormhole' }]);
    const { status, stderr } = tool(['add', '--conflist', conflist, '--cni-path', reference], namespace);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/no plugin "wormhole" in \/usr\/lib\/cni/)]);
    expect(scratchNamespaces()).toEqual([]);
  });
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
