import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../daemon/cluster.ts';
import { createNetns, type Netns } from '../kit/netns.ts';

const repository = path.resolve(import.meta.dirname, '../..');
const profile = path.join(repository, 'deploy/apparmor-flannelette');
const launcher = '/tmp/apparmor/flannel';
const netConfig = '/tmp/apparmor/net-conf.json';

/** A shell's words that go into the profile with the next program. */
const confined = 'echo exec flannelette > /proc/self/attr/apparmor/exec; exec "$@"';

let node: Netns;
let pod: Netns;
let daemon: ChildProcess;
let log = '';

/** flanneld under the shipped profile, with paths as in its container; a pod, and a launcher that has nothing to fall back on. */
beforeAll(async () => {
  if (!fs.existsSync('/sys/kernel/security/apparmor'))
    execFileSync('mount', ['-t', 'securityfs', 'securityfs', '/sys/kernel/security']);
  // This machine lives in a chroot, a container does not.
  const input = fs.readFileSync(profile, 'utf8').replace('flags=(', 'flags=(chroot_relative, ');
  execFileSync('apparmor_parser', ['--replace', '--skip-cache'], { input });
  fs.mkdirSync(path.dirname(launcher), { recursive: true });
  fs.copyFileSync(path.join(repository, 'build/bin/flannel'), launcher);
  fs.writeFileSync(netConfig, JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } }));
  for (const directory of ['/run/flannel', '/var/lib/cni', '/var/lib/flannelette'])
    fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync('/run/xtables.lock', '');
  [node, pod] = [createNetns(), createNetns()];
  for (const line of [
    'link add eth0 type veth peer name other',
    'addr add 192.0.2.1/24 dev eth0',
    'link set eth0 up',
  ])
    await node.exec('ip', ...line.split(' '));
  const flanneld = [
    path.join(repository, 'build/bin/flanneld'),
    `--net-config-path=${netConfig}`,
    '--lease-dir=/var/lib/flannelette/leases',
    '--node-name=node',
    '--iface=eth0',
    '--ip-masq',
  ];
  daemon = spawn('nsenter', [`--net=${node.path}`, 'sh', '-c', confined, 'sh', ...flanneld], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  daemon.stderr?.setEncoding('utf8').on('data', (text: string) => (log += text));
  await until(() => {
    if (daemon.exitCode !== null) throw new Error(log);
    return log.includes('ready: pods can be served');
  }, 60_000);
});
afterAll(() => {
  daemon?.kill('SIGKILL');
  node?.remove();
  pod?.remove();
});

test('the profile is in force', () => {
  expect(fs.readFileSync(`/proc/${daemon.pid}/attr/apparmor/current`, 'utf8')).toBe(
    'flannelette (enforce)\n',
  );
  const write = spawnSync('sh', ['-c', confined, 'sh', 'sh', '-c', 'echo x > /etc/forbidden'], {
    encoding: 'utf8',
  });
  expect(write.stderr).toContain('Permission denied');
});

test('a pod is attached and detached: its descriptors come through', async () => {
  const call = (command: string): string =>
    execFileSync('nsenter', [`--net=${node.path}`, launcher], {
      input: JSON.stringify({
        cniVersion: '1.0.0',
        name: 'cbr0',
        type: 'flannel',
        delegate: { isDefaultGateway: true },
      }),
      encoding: 'utf8',
      env: {
        PATH: process.env['PATH'],
        CNI_COMMAND: command,
        CNI_CONTAINERID: 'sandbox',
        CNI_NETNS: pod.path,
        CNI_IFNAME: 'eth0',
        CNI_PATH: '/tmp/apparmor',
      },
    });
  const { ips } = JSON.parse(call('ADD')) as { ips: { address: string }[] };
  expect(await pod.exec('ip', '-4', 'address', 'show', 'dev', 'eth0')).toContain(ips[0]?.address);
  await pod.exec('ping', '-c1', '-W5', ips[0]?.address.replace(/\.\d+\/.*/, '.1') ?? '');
  call('DEL');
  expect(await pod.exec('ip', 'link')).not.toContain('eth0');
});
