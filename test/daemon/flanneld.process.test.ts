import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { askStatus } from '../../src/tool/daemon-status.ts';
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

describe('a running flanneld', () => {
  beforeEach(async () => {
    cluster = await Cluster.start('v4', 2);
    await cluster.run(0);
    await cluster.run(1);
    await until(() => cluster.reaches(0, 1, 4));
  });

  test('is killed and comes back under traffic, and no packet is lost', async () => {
    const target = cluster.device(1, 4);
    const ping = cluster.nodes[0]?.exec('ping', '-i', '0.01', '-c', '200', '-W', '1', target);
    await cluster.end(0, 'SIGKILL');
    await cluster.run(0);
    expect(await ping).toMatch(/200 packets transmitted, 200 received/);
  });

  test('ends by SIGTERM with 0, and leaves the network as it is', async () => {
    const before = await cluster.nodes[0]?.exec('ip', 'route');
    expect(await cluster.end(0, 'SIGTERM')).toBe(0);
    expect(await cluster.nodes[0]?.exec('ip', 'route')).toBe(before);
    expect(await cluster.reaches(0, 1, 4)).toBe(true);
    expect(fs.existsSync(cluster.file('0.sock'))).toBe(false);
    expect(fs.existsSync(cluster.file('0.env'))).toBe(true);
  });

  test.each([
    ['a route', 'ip route del SUBNET'],
    ['a neighbour', 'ip neigh flush dev flannel.1 nud permanent'],
    ['FDB entries', 'bridge fdb del MAC dev flannel.1 dst 192.0.2.2 self'],
    ['the address', 'ip addr flush dev flannel.1'],
    ['the device', 'ip link del flannel.1'],
    ['the device is set down', 'ip link set flannel.1 down'],
    ['the MTU', 'ip link set flannel.1 mtu 1300'],
    ['the MAC', 'ip link set flannel.1 address 02:00:00:00:00:99'],
  ])('mends what somebody takes away: %s', async (_what, command) => {
    const node = cluster.nodes[0] as Netns;
    const state = async () => [
      await node.exec('ip', 'route', 'show', 'dev', 'flannel.1'),
      (await node.exec('ip', 'neigh', 'show', 'dev', 'flannel.1', 'nud', 'permanent')).trim(),
      (await node.exec('bridge', 'fdb', 'show', 'dev', 'flannel.1')).trim(),
      await node
        .exec('ip', '-4', '-o', 'addr', 'show', 'dev', 'flannel.1')
        .then((text) => text.replace(/^\d+/, '')),
      await node.exec('ip', '-o', 'link', 'show', 'flannel.1').then((text) => text.replace(/^\d+/, '')),
    ];
    const before = await state();
    const mac = /(..:..:..:..:..:..) dst/.exec(before[2] ?? '')?.[1] ?? '';
    const words = command
      .replace('SUBNET', `${cluster.device(1, 4)}/24`)
      .replace('MAC', mac)
      .split(' ');
    await node.exec(words[0] ?? '', ...words.slice(1));
    await until(async () => JSON.stringify(await state().catch(() => [])) === JSON.stringify(before));
    expect(await cluster.reaches(0, 1, 4)).toBe(true);
  });

  test('follows a node that leaves, and one that takes its place', async () => {
    const routes = () => cluster.nodes[0]?.exec('ip', 'route', 'show', 'dev', 'flannel.1');
    const subnet = cluster.device(1, 4);
    await cluster.end(1, 'SIGTERM');
    const document = JSON.parse(fs.readFileSync(cluster.file('leases/node-1.json'), 'utf8')) as object;
    fs.rmSync(cluster.file('leases/node-1.json'));
    await until(async () => !(await routes())?.includes(subnet));
    fs.writeFileSync(
      cluster.file('leases/other.json'),
      JSON.stringify({ ...document, PublicIP: '192.0.2.77' }),
    );
    await until(async () => (await routes())?.includes(subnet) === true);
    expect(await cluster.nodes[0]?.exec('bridge', 'fdb', 'show', 'dev', 'flannel.1')).toContain(
      'dst 192.0.2.77',
    );
  });

  test('refuses leases that lie, by name, and goes on', async () => {
    const write = (name: string, text: string) => fs.writeFileSync(cluster.file(`leases/${name}.json`), text);
    write('torn', '{"Subnet":');
    write('outside', '{"Subnet":"10.9.0.0/24","PublicIP":"192.0.2.50","BackendType":"vxlan"}');
    write('thief', `{"Subnet":"${cluster.device(1, 4)}/24","PublicIP":"192.0.2.51","BackendType":"vxlan"}`);
    write('twin', '{"Subnet":"10.244.99.0/24","PublicIP":"192.0.2.1","BackendType":"vxlan"}');
    write('other', '{"Subnet":"10.244.98.0/24","PublicIP":"192.0.2.52","BackendType":"host-gw"}');
    const names = ['torn', 'outside', 'thief', 'twin', 'other'];
    await until(() =>
      names.every((name) => cluster.logs.get(0)?.includes(`the lease of ${name} is refused`) === true),
    );
    expect(await cluster.reaches(0, 1, 4)).toBe(true);
  });

  test('follows its interface to another address, and tells the peers', async () => {
    const node = cluster.nodes[0] as Netns;
    await node.exec('ip', 'addr', 'add', '192.0.2.101/24', 'dev', 'eth0');
    await node.exec('ip', 'addr', 'del', '192.0.2.1/24', 'dev', 'eth0');
    await node.exec('ip', 'addr', 'replace', '192.0.2.101/24', 'dev', 'eth0');
    await node.exec('ip', 'route', 'replace', 'default', 'via', '192.0.2.254');
    await until(() => fs.readFileSync(cluster.file('leases/node-0.json'), 'utf8').includes('192.0.2.101'));
    await until(() => cluster.reaches(1, 0, 4));
    expect(await cluster.nodes[1]?.exec('bridge', 'fdb', 'show', 'dev', 'flannel.1')).toContain(
      '192.0.2.101',
    );
  });

  test.each([
    ['away', () => fs.writeFileSync(cluster.file('leases'), 'no directory'), 'a file is in the place'],
    ['not mounted', () => fs.mkdirSync(cluster.file('leases')), 'is it mounted?'],
  ])('starts from what it knew last when the leases are %s', async (_how, put, why) => {
    // One that runs on would put its lease into the empty place.
    for (const i of [0, 1]) await cluster.end(i, 'SIGTERM');
    fs.renameSync(cluster.file('leases'), cluster.file('leases.away'));
    put();
    await cluster.nodes[0]?.exec('ip', 'link', 'del', 'flannel.1');
    await cluster.run(0);
    await until(() => cluster.reaches(0, 1, 4));
    expect(cluster.logs.get(0)).toContain('starting with the lease last known');
    expect(cluster.logs.get(0)).toContain(why);
    fs.rmSync(cluster.file('leases'), { recursive: true });
    fs.renameSync(cluster.file('leases.away'), cluster.file('leases'));
    await until(() => cluster.logs.get(0)?.includes('answers again') === true, 30_000);
    expect(await cluster.reaches(0, 1, 4)).toBe(true);
  });

  test('follows its interface also while the leases are away', async () => {
    const node = cluster.nodes[0] as Netns;
    await cluster.end(0, 'SIGTERM');
    await leasesAway();
    await cluster.run(0);
    await node.exec('ip', 'addr', 'add', '192.0.2.101/24', 'dev', 'eth0');
    await node.exec('ip', 'addr', 'del', '192.0.2.1/24', 'dev', 'eth0');
    await node.exec('ip', 'addr', 'replace', '192.0.2.101/24', 'dev', 'eth0');
    await node.exec('ip', 'route', 'replace', 'default', 'via', '192.0.2.254');
    const shown = () => node.exec('ip', '-d', 'link', 'show', 'flannel.1');
    await until(async () => (await shown()).includes('local 192.0.2.101'));
  });

  test('does not start from a subnet that the network has no more', async () => {
    await cluster.end(0, 'SIGTERM');
    await leasesAway();
    cluster.configure({ Network: '10.99.0.0/16', Backend: { Type: 'vxlan' } });
    cluster.launch(0);
    await until(() => cluster.logs.get(0)?.includes('no lease yet') === true);
    expect(cluster.logs.get(0)).not.toContain('starting with the lease last known');
    expect(fs.existsSync(cluster.file('0.env'))).toBe(false);
  });

  test('tells when net-conf.json is another than that with which it started', async () => {
    cluster.configure({ ...cluster.configuration(), Backend: { Type: 'vxlan', VNI: 7 } });
    await until(() => cluster.logs.get(0)?.includes('restart flanneld for the new one') === true, 20_000);
    const { configuration } = await askStatus(cluster.file('0.sock'));
    expect(configuration).toMatch(/net-conf\.json has changed/);
    expect(await cluster.reaches(0, 1, 4)).toBe(true);
  });

  test('starts without a state or a subnet file that it cannot read', async () => {
    await cluster.end(0, 'SIGTERM');
    fs.rmSync(cluster.file('state-0/state.json'));
    fs.mkdirSync(cluster.file('state-0/state.json'));
    await cluster.run(0);
    expect(cluster.logs.get(0)).toMatch(/state\.json.*is left out/);
  });

  /** A file stands where the directory was. */
  async function leasesAway(): Promise<void> {
    fs.renameSync(cluster.file('leases'), cluster.file('leases.away'));
    fs.writeFileSync(cluster.file('leases'), 'no directory');
  }

  test('does not let a second one take its socket', () => {
    const { status, says } = cluster.refused(cluster.args(0));
    expect([status, says]).toEqual([1, expect.stringContaining('0.sock is served already')]);
  });
});

describe('with the options of K3s', () => {
  test('and a config.yaml there need be no net-conf.json, and pods are hidden', async () => {
    cluster = await Cluster.start('dual', 2);
    cluster.registry = [`--lease-dir=${cluster.file('leases')}`];
    const yaml = `flannel-backend: vxlan
cluster-cidr: 10.42.0.0/16,fd00:42::/56
service-cidr: [10.43.0.0/16, "fd00:43::/112"]
flannel-iface: eth0
token: K10abc
`;
    fs.writeFileSync(cluster.file('config.yaml'), yaml);
    const args = [`--config=${cluster.file('config.yaml')}`];
    await cluster.run(0, { args });
    await cluster.run(1, { args: [...args, '--flannel-ipv6-masq'] });
    for (const each of [4, 6] as const) await until(() => cluster.reaches(0, 1, each));
    expect(fs.readFileSync(cluster.file('0.env'), 'utf8')).toMatch(
      /^FLANNEL_NETWORK=10\.42\.0\.0\/16\nFLANNEL_SUBNET=10\.42\.\d+\.1\/24\nFLANNEL_IPV6_NETWORK=fd00:42::\/56\nFLANNEL_IPV6_SUBNET=fd00:42:.*\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n$/,
    );
    const isHidden = async (i: number, program: string) =>
      (await cluster.nodes[i]?.exec(program))?.includes('MASQUERADE');
    const hidden = (i: number) => Promise.all([isHidden(i, 'iptables-save'), isHidden(i, 'ip6tables-save')]);
    expect(await hidden(0)).toEqual([true, false]);
    expect(await hidden(1)).toEqual([true, true]);
    expect(cluster.logs.get(0)).toContain('without --flannel-ipv6-masq they reach nothing outside');
    expect(cluster.logs.get(0)).not.toContain('K10abc');
  });

  test('--flannel-cni-conf is installed when pods can be served, and refused when it is no list', async () => {
    cluster = await Cluster.start('v4', 1);
    const [list, directory] = [cluster.file('my.conflist'), cluster.file('net.d')];
    const args = [`--flannel-cni-conf=${list}`, `--cni-conf-dir=${directory}`];
    fs.writeFileSync(list, '{"name":"cbr0","plugins":[]}');
    const { status, says } = cluster.refused([...cluster.args(0), ...args]);
    expect([status, says]).toEqual([1, expect.stringMatching(/my\.conflist: it has no "plugins"/)]);
    expect(fs.existsSync(directory)).toBe(false);
    const text = '{"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"flannel"}]}';
    fs.writeFileSync(list, text);
    await cluster.run(0, { args });
    const installed = `${directory}/10-flannel.conflist`;
    await until(() => fs.existsSync(installed));
    expect(fs.readFileSync(installed, 'utf8')).toBe(text);
    expect(fs.statSync(installed).mode & 0o777).toBe(0o644);
    expect(fs.readdirSync(directory)).toEqual(['10-flannel.conflist']);
  });

  test('--flannel-external-ip: peers are told, the tunnel has the address of the interface', async () => {
    cluster = await Cluster.start('v4', 1);
    cluster.registry = [`--lease-dir=${cluster.file('leases')}`];
    const args = ['--flannel-external-ip', '--node-external-ip=203.0.113.7', '--node-ip=192.0.2.1'];
    await cluster.run(0, { args });
    expect(fs.readFileSync(cluster.file('leases/node-0.json'), 'utf8')).toContain(
      '"PublicIP": "203.0.113.7"',
    );
    const link = await cluster.nodes[0]?.exec('ip', '-d', 'link', 'show', 'flannel.1');
    expect(link).toContain('local 192.0.2.1');
    expect(cluster.logs.get(0)).toContain('unencrypted');
  });
});

describe('the way to other nodes is followed', () => {
  const lease = () => fs.readFileSync(cluster.file('leases/node-0.json'), 'utf8');
  const shows = (text: string) => until(() => lease().includes(text));
  const ip = (...commands: string[]) =>
    commands.reduce<Promise<unknown>>(
      (before, command) => before.then(() => cluster.nodes[0]?.exec('ip', ...command.split(' '))),
      Promise.resolve(),
    );
  /** A second interface, to nowhere. */
  const eth1 = (address: string) =>
    ip(
      'link add eth1 type veth peer name far',
      'link set far up',
      'link set eth1 up',
      `addr add ${address} dev eth1`,
    );

  test('--iface-can-reach: when another route leads there', async () => {
    cluster = await Cluster.start('v4', 1);
    await eth1('198.51.100.1/24');
    await cluster.run(0, { args: ['--iface-can-reach=203.0.113.9'] });
    expect(lease()).toContain('192.0.2.1');
    await ip('route add 203.0.113.0/24 via 198.51.100.254 dev eth1');
    await shows('198.51.100.1');
    await ip('route del 203.0.113.0/24');
    await shows('192.0.2.1');
  });

  test('--iface-regex: when another interface matches', async () => {
    cluster = await Cluster.start('v4', 1);
    await eth1('198.51.100.1/24');
    await cluster.run(0, { args: ['--iface-regex=^192[.]0[.]2[.]', '--iface-regex=^eth1$'] });
    expect(lease()).toContain('192.0.2.1');
    await ip('addr flush dev eth0');
    await shows('198.51.100.1');
    await ip('addr add 192.0.2.77/24 dev eth0');
    await shows('192.0.2.77');
  });

  test('dual-stack, when the interface comes back as another with other addresses', async () => {
    cluster = await Cluster.start('dual', 2);
    for (const i of [0, 1]) await cluster.run(i, { args: ['--iface=eth0'] });
    await ip('addr flush dev eth0 scope global');
    await until(() => cluster.logs.get(0)?.includes('the way to other nodes is gone') === true);
    await ip('link set eth0 down', 'link set eth0 name old0', 'link set old0 name eth0', 'link set eth0 up');
    await ip('addr add 192.0.2.55/24 dev eth0', 'addr add 2001:db8::55/64 dev eth0 nodad');
    await shows('192.0.2.55');
    await shows('2001:db8::55');
    for (const family of [4, 6] as const) await until(() => cluster.reaches(1, 0, family));
  });
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

describe('bad input gets one sentence', () => {
  beforeEach(async () => {
    cluster = await Cluster.start('v4', 1);
  });

  const nothingWasDone = async () => {
    expect(await cluster.nodes[0]?.exec('ip', '-o', 'link', 'show')).not.toContain('flannel');
    expect(fs.existsSync(cluster.file('0.env'))).toBe(false);
    expect(fs.existsSync(cluster.file('0.sock'))).toBe(false);
  };

  test.each([
    ['--subnet-fil=x', 2, /there is no flag --subnet-fil; did you mean --subnet-file\?/],
    ['--healthz-port=x', 2, /--healthz-port: "x" is not a whole number/],
    ['--public-ip=fd00::1', 2, /not an IPv4 address/],
    ['--iface=none0', 1, /--iface=none0: there is no such interface.*There are:.*eth0/],
    ['--socket=/dev/null/x/y.sock', 1, /--socket=\/dev\/null\/x\/y\.sock: its directory cannot be made/],
    ['--node-name=a/b', 1, /node name "a\/b"/],
    ['--net-config-path=/none/such', 1, /\/none\/such: it cannot be read/],
    ['--etcd-endpoints=http://192.0.2.9:2379', 2, /--lease-dir and --etcd-endpoints name two registries/],
  ])('the flag %s', async (flag, status, sentence) => {
    const refused = cluster.refused([...cluster.args(0), flag]);
    expect(refused).toEqual({ status, says: expect.stringMatching(sentence) });
    expect(refused.says).not.toContain('    at ');
    await nothingWasDone();
  });

  test.each([
    ['{', /net-conf\.json: the file is not JSON/],
    ['{"Network":"10.244.0.0/16"}', /Backend is missing, which means "udp": .*use "vxlan"/],
    ['{"Network":"10.244.0.0/16","Backend":{"Type":"wormhole"}}', /"wormhole".*use one of: .*vxlan/],
    ['{"Network":"10.244.0.0/40","Backend":{"Type":"vxlan"}}', /Network "10\.244\.0\.0\/40" is no IPv4/],
    ['{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan","VNI":"x"}}', /VNI must be a/],
    ['{"EnableIPv4":false,"Backend":{"Type":"vxlan"}}', /both false/],
    ['{"Network":7,"SubnetLen":"x","Backend":{"Type":"vxlan"}}', /Network must be a string/],
  ])('the configuration %s', async (text, sentence) => {
    cluster.configure(text);
    expect(cluster.refused(cluster.args(0))).toEqual({ status: 1, says: expect.stringMatching(sentence) });
    await nothingWasDone();
  });

  test('all that is wrong at once', async () => {
    const args = ['--service-cidr=192.0.0.0/9,10.244.0.0/24', '--iface=none0', '--public-ip=127.0.0.1'];
    const { status, says } = cluster.refused([...cluster.args(0), ...args]);
    expect(status).toBe(1);
    expect(says.split('\n')).toEqual([
      expect.stringMatching(/^flanneld: no interface .*--iface=none0: there is no such interface/),
      expect.stringMatching(/^flanneld: --service-cidr has 2 IPv4 ranges/),
      expect.stringMatching(/^flanneld: --service-cidr 192\.0\.0\.0\/9 is too large/),
      expect.stringMatching(
        /^flanneld: the network 10\.244\.0\.0\/16 and --service-cidr 10\.244\.0\.0\/24 overlap/,
      ),
      expect.stringMatching(
        /^flanneld: --service-cidr 192\.0\.0\.0\/9 and the network 192\.0\.2\.0\/24 of eth0 overlap/,
      ),
      expect.stringMatching(/^flanneld: --public-ip 127\.0\.0\.1 is a loopback address/),
    ]);
    await nothingWasDone();
  });

  test('a flag against net-conf.json', async () => {
    const { status, says } = cluster.refused([...cluster.args(0), '--flannel-backend=host-gw']);
    expect(status).toBe(1);
    expect(says).toMatch(/--flannel-backend says host-gw, .*net-conf\.json: Backend\.Type says vxlan/);
    await nothingWasDone();
  });

  test('a host called localhost', async () => {
    const args = cluster.args(0).filter((arg) => !arg.startsWith('--node-name'));
    const before = ['unshare', '--uts', 'sh', '-c', 'hostname localhost; exec "$@"', 'sh'];
    const refused = cluster.refused(args, {}, before);
    expect(refused).toEqual({
      status: 1,
      says: expect.stringMatching(/this host is called "localhost".*--node-name or K3S_NODE_NAME/),
    });
    await nothingWasDone();
  });

  test('the variable of a flag', () => {
    const { status, says } = cluster.refused(cluster.args(0), { FLANNELD_HEALTHZ_PORT: '99999' });
    expect([status, says]).toEqual([2, expect.stringContaining('FLANNELD_HEALTHZ_PORT: "99999"')]);
  });

  test('a port in use', async () => {
    const script = 'const s=require("net").createServer().listen(8471,"0.0.0.0",()=>console.log("up"))';
    const listener = spawn('nsenter', [`--net=${cluster.nodes[0]?.path}`, process.execPath, '-e', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await new Promise((resolve) => {
      listener.stdout?.once('data', resolve);
    });
    try {
      const refused = cluster.refused([...cluster.args(0), '--healthz-port=8471']);
      expect(refused).toEqual({
        status: 1,
        says: expect.stringMatching(/port 8471: another program listens there/),
      });
      await nothingWasDone();
    } finally {
      listener.kill('SIGKILL');
    }
  });

  test('no default route', async () => {
    await cluster.nodes[0]?.exec('ip', 'route', 'del', 'default');
    const refused = cluster.refused(cluster.args(0));
    expect(refused).toEqual({ status: 1, says: expect.stringMatching(/no IPv4 default route.*--iface/) });
    await nothingWasDone();
  });
});
