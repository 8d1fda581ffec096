import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { programs, tool } from './cni-tool.ts';

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
  test("leaves what this machine's own pods have, whose links it cannot see", () => {
    const name = labName();
    const address = '/var/lib/cni/networks/cbr0/10.244.1.7';
    const record = {
      network: 'cbr0',
      containerID: 'c1',
      ifname: 'eth0',
      netns: '/x',
      hostLink: 'veth0',
      hostMac: '',
      addresses: ['10.244.1.7/24'],
      ipamDataDir: '/var/lib/cni/networks',
    };
    const script = `set -e
mount -t tmpfs machine /var/lib
mkdir -p /var/lib/cni/flannelette/cbr0 /var/lib/cni/flannel ${path.dirname(address)}
printf 'c1\\r\\neth0' > ${address}
touch -d '10 minutes ago' ${address}
echo '${JSON.stringify(record)}' > /var/lib/cni/flannelette/cbr0/c1:eth0
${path.join(programs, 'cni-tool')} lab up --name ${name} --nodes 1
${path.join(programs, 'cni-tool')} lab down --name ${name}
cat ${address}`;
    const { stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-c', script], { encoding: 'utf8' });
    expect(stdout + stderr).toMatch(/is up after[^]*c1\r\neth0$/);
  });

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

  test('what it says at the end can be typed, and a node’s flanneld is found there', () => {
    const name = labName();
    const up = tool(['lab', 'up', '--name', name, '--nodes', '1', '--pods', '0']);
    const hints = [...up.stdout.matchAll(/cni-tool (lab (?:exec|status|down).*?)(?: {2}|$)/gm)];
    const typed = hints.map(([, line = '']) => tool(line.split(' ')).status);
    expect(typed).toEqual([0, 0, 0]);
    expect(leftOf(name)).toEqual([]);
    tool(['lab', 'up', '--name', name, '--nodes', '1', '--pods', '0']);
    const node = tool(['lab', 'exec', '--name', name, 'node-1', '--', `${programs}/cni-tool`, 'node']);
    expect([node.status, node.stdout]).toEqual([0, expect.stringMatching(/NODE +node-1[\s\S]*All is well/)]);
  });

  test('one that cannot come up says why and leaves nothing', () => {
    const name = labName();
    const up = tool(['lab', 'up', '--name', name, '--nodes', '1', '--backend', 'wormhole']);
    expect([up.status, up.stderr]).toEqual([
      2,
      expect.stringMatching(/^flanneld on node-1 is not ready:\nflanneld: .*wormhole.*\n$/),
    ]);
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
