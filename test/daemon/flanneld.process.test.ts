import fs from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Netns } from '../kit/netns.ts';
import { Cluster, flanneld, until } from './cluster.ts';

let cluster: Cluster;
afterEach(() => cluster.stop());

describe.each(['v4', 'v6', 'dual'] as const)('two nodes, %s', (family) => {
  const families: (4 | 6)[] = family === 'dual' ? [4, 6] : [family === 'v4' ? 4 : 6];

  test('reach each other through vxlan', async () => {
    cluster = await Cluster.start(family, 2);
    await cluster.run(0);
    await cluster.run(1);
    for (const each of families) {
      await until(() => cluster.reaches(0, 1, each));
      expect(await cluster.reaches(1, 0, each)).toBe(true);
    }
    const lines = fs.readFileSync(cluster.file('0.env'), 'utf8').trim().split('\n');
    const named = (key: string) => lines.filter((line) => line.startsWith(key)).length;
    expect([named('FLANNEL_NETWORK'), named('FLANNEL_IPV6_NETWORK')]).toEqual([
      family === 'v6' ? 0 : 1,
      family === 'v4' ? 0 : 1,
    ]);
    expect(lines.slice(-2)).toEqual(['FLANNEL_MTU=1450', 'FLANNEL_IPMASQ=false']);
  });
});

describe.each([
  ['host-gw', { Type: 'host-gw' }],
  ['vxlan with DirectRouting', { Type: 'vxlan', DirectRouting: true }],
])('two nodes, %s', (_name, Backend) => {
  test.each(['v4', 'dual'] as const)('reach each other without a tunnel, %s', async (family) => {
    cluster = await Cluster.start(family, 2);
    cluster.configure({ ...cluster.configuration(), Backend });
    for (const i of [0, 1]) await cluster.run(i);
    for (const i of [0, 1]) await cluster.addPodAddress(i);
    for (const each of family === 'dual' ? ([4, 6] as const) : ([4] as const)) {
      await until(() => cluster.reachesPod(0, 1, each));
      expect(await cluster.nodes[0]?.exec('ip', `-${each}`, 'route', 'show', 'dev', 'eth0')).toMatch(
        each === 4
          ? /10\.244\.\d+\.0\/24 via 192\.0\.2\.2 proto 241/
          : /fd00:244:.*via 2001:db8::2 proto 241/,
      );
    }
  });
});

test.each([
  [
    false,
    ['iptables-save', '-t', 'nat'],
    /-s 10\.244\.0\.0\/16 ! -d 224\.0\.0\.0\/4 .* -j MASQUERADE --random-fully/,
  ],
  [true, ['nft', 'list', 'ruleset'], /ip saddr 10\.244\.0\.0\/16 .* masquerade fully-random/],
])('pods are hidden with --ip-masq; EnableNFTables: %s', async (EnableNFTables, show, rule) => {
  cluster = await Cluster.start('v4', 1);
  cluster.configure({ ...cluster.configuration(), EnableNFTables });
  await cluster.run(0, { args: ['--ip-masq'] });
  // The rules are there before the subnet file is.
  const [program = '', ...args] = show;
  expect(await cluster.nodes[0]?.exec(program, ...args)).toMatch(rule);
  expect(fs.readFileSync(cluster.file('0.env'), 'utf8')).toContain('FLANNEL_IPMASQ=true');
});

test('--ip-blackhole-route drops what no pod has, for each family', async () => {
  cluster = await Cluster.start('dual', 1);
  await cluster.run(0, { args: ['--ip-blackhole-route'] });
  const [node] = cluster.nodes;
  expect(await node?.exec('ip', 'route', 'show', 'type', 'blackhole')).toMatch(
    /^blackhole 10\.244\.\d+\.0\/24 proto 241 metric 1024 *\n$/,
  );
  expect(await node?.exec('ip', '-6', 'route', 'show', 'type', 'blackhole')).toMatch(
    /^blackhole fd00:244:.*::\/64 /,
  );
  // Without the flag it goes at the next start.
  await cluster.end(0, 'SIGTERM');
  await cluster.run(0);
  expect(await node?.exec('ip', 'route', 'show', 'type', 'blackhole')).toBe('');
});

test('its devices take no router advertisements, and neither do those that it adopts or makes anew', async () => {
  cluster = await Cluster.start('dual', 1);
  await cluster.run(0);
  const node = cluster.nodes[0] as Netns;
  const devices = ['flannel.1', 'flannel-v6.1'];
  const files = devices.map((name) => `/proc/sys/net/ipv6/conf/${name}/accept_ra`);
  const refused = async () => (await node.exec('cat', ...files).catch(() => '')) === '0\n0\n';
  await until(refused);
  await cluster.end(0, 'SIGTERM');
  for (const file of files) await node.exec('sh', '-c', `echo 1 >${file}`);
  await cluster.run(0);
  await until(refused);
  for (const name of devices) await node.exec('ip', 'link', 'del', name);
  await until(refused);
});

test('--nexthop-objects makes routes by next hops, and a clean stop plain ones of them', async () => {
  cluster = await Cluster.start('v4', 2);
  await cluster.run(0, { args: ['--nexthop-objects'] });
  await cluster.run(1);
  const shown = (...args: string[]) => cluster.nodes[0]?.exec('ip', ...args);
  const toPeer = /^10\.244\.\d+\.0\/24 (nhid \d+ )?via 10\.244\.\d+\.0 dev flannel\.1 onlink *\n$/;
  await expect.poll(() => shown('route', 'show', 'proto', '241')).toMatch(toPeer);
  expect(await shown('route', 'show', 'proto', '241')).toContain('nhid');
  await cluster.end(0, 'SIGTERM');
  expect(await shown('route', 'show', 'proto', '241')).toMatch(toPeer);
  expect(await shown('route', 'show', 'proto', '241')).not.toContain('nhid');
  expect(await shown('nexthop', 'show')).toBe('');
});

test('SIGTERM ends it also while it waits for a lease, and its socket goes', async () => {
  cluster = await Cluster.start('v4', 1);
  fs.writeFileSync(cluster.file('leases'), 'no directory');
  cluster.launch(0);
  await until(() => cluster.logs.get(0)?.includes('no lease yet') === true);
  expect(fs.existsSync(cluster.file('0.sock'))).toBe(true);
  expect(await cluster.end(0, 'SIGTERM')).toBe(0);
  expect(fs.existsSync(cluster.file('0.sock'))).toBe(false);
});

describe('least privilege', () => {
  const only = (capability: string) => [
    'setpriv',
    '--bounding-set',
    `-all,+${capability}`,
    '--inh-caps',
    `-all,+${capability}`,
  ];

  test('CAP_NET_ADMIN is all that it needs', async () => {
    cluster = await Cluster.start('dual', 2);
    await cluster.run(0, { before: only('net_admin') });
    await cluster.run(1, { before: only('net_admin') });
    await until(() => cluster.reaches(0, 1, 4));
    await until(() => cluster.reaches(0, 1, 6));
  });

  test('another user with that capability is as good, also for firewall rules', async () => {
    cluster = await Cluster.start('v4', 1);
    cluster.configure({ ...cluster.configuration(), EnableNFTables: true });
    fs.chmodSync(cluster.directory, 0o777);
    // The tree may lie where nobody else may look: /root, for one.
    fs.cpSync(path.dirname(flanneld), cluster.file('bin'), { recursive: true });
    const before = ['setpriv', '--reuid=65534', '--inh-caps=+net_admin', '--ambient-caps=+net_admin'];
    // No program is needed for rules, so there is none.
    const args = ['--ip-masq'];
    const without = ['env', 'PATH=/nowhere'];
    await cluster.run(0, { before: [...before, ...without], program: cluster.file('bin/flanneld'), args });
    expect(await cluster.nodes[0]?.exec('ip', 'link', 'show', 'flannel.1')).toContain('UP');
    expect(await cluster.nodes[0]?.exec('nft', 'list', 'ruleset')).toContain('masquerade fully-random');
    expect(cluster.logs.get(0)).not.toContain('the firewall rules are not in place');
  });

  test('without it, it says what is missing and how to give it', async () => {
    cluster = await Cluster.start('v4', 1);
    const { status, says } = cluster.refused(cluster.args(0), {}, only('net_raw'));
    expect(status).toBe(1);
    expect(says).toMatch(/lacks the capability CAP_NET_ADMIN.*AmbientCapabilities/);
  });
});
