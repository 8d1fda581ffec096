import fs from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { type Backend, Cluster, type Family, type Traces, until } from './cluster.ts';

let cluster: Cluster;
afterEach(() => cluster.stop());

const vxlan = { Type: 'vxlan' };
const hostGw = { Type: 'host-gw' };
const direct = { Type: 'vxlan', DirectRouting: true };
const otherVni = { Type: 'vxlan', VNI: 7, Port: 4789, GBP: true };
const alloc = { Type: 'alloc' };

const use = (backend: Backend) => cluster.useBackend(backend);
const traces = () => cluster.traces(0);

async function runAll(): Promise<void> {
  await cluster.run(0);
  await cluster.run(1);
}

async function joined(family: Family): Promise<void> {
  for (const each of family === 'dual'
    ? ([4, 6] as const)
    : family === 'v4'
      ? ([4] as const)
      : ([6] as const))
    await until(() => cluster.reachesPod(0, 1, each));
}

/** What each backend leaves on a node with one peer, for each family. */
const expected = (backend: Backend, family: Family): Traces => {
  if (backend === alloc) return { devices: [], routes: [] };
  const vni = backend === otherVni ? 7 : 1;
  const device = {
    v4: [`flannel.${vni}`],
    v6: [`flannel-v6.${vni}`],
    dual: [`flannel-v6.${vni}`, `flannel.${vni}`],
  };
  const devices = device[family];
  if (backend === hostGw) return { devices: [], routes: devices.map(() => 'eth0') };
  return { devices, routes: backend === direct ? devices.map(() => 'eth0') : devices };
};

describe.each<[Family, [string, Backend][]]>([
  [
    'v4',
    [
      ['vxlan', vxlan],
      ['host-gw', hostGw],
      ['vxlan of another VNI', otherVni],
      ['vxlan', vxlan],
      ['DirectRouting', direct],
      ['host-gw', hostGw],
      ['vxlan of another VNI', otherVni],
      ['alloc', alloc],
      ['vxlan', vxlan],
    ],
  ],
  [
    'v6',
    [
      ['host-gw', hostGw],
      ['vxlan', vxlan],
      ['DirectRouting', direct],
      ['vxlan', vxlan],
      ['host-gw', hostGw],
    ],
  ],
  [
    'dual',
    [
      ['vxlan of another VNI', otherVni],
      ['DirectRouting', direct],
      ['vxlan', vxlan],
      ['alloc', alloc],
      ['host-gw', hostGw],
      ['vxlan', vxlan],
    ],
  ],
])('the backend is changed, %s', (family, steps) => {
  test(`${steps.map(([name]) => name).join(' -> ')}: each leaves only its own`, async () => {
    cluster = await Cluster.start(family, 2);
    for (const [step, [name, backend]] of steps.entries()) {
      use(backend);
      await runAll();
      if (step === 0) for (const i of [0, 1]) await cluster.addPodAddress(i);
      const wanted = expected(backend, family);
      await until(async () => JSON.stringify(await traces()) === JSON.stringify(wanted)).catch(() => {});
      expect(await traces(), name).toEqual(wanted);
      if (backend !== alloc) await joined(family);
      // Killed, or stopped in good order: it is the same.
      for (const i of [0, 1]) await cluster.end(i, step % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
    }
  });
});

describe('while flanneld was down', () => {
  test.each([
    ['vxlan', vxlan],
    ['host-gw', hostGw],
  ])('a peer has left: %s is clean after the start', async (_name, backend) => {
    cluster = await Cluster.start('dual', 2);
    use(backend);
    await runAll();
    await until(async () => (await traces()).routes.length === 2);
    for (const i of [0, 1]) await cluster.end(i, 'SIGKILL');
    fs.rmSync(cluster.file('leases/node-1.json'));
    await cluster.run(0);
    await until(async () => (await traces()).routes.length === 0);
    const node = cluster.nodes[0];
    expect(await node?.exec('ip', 'neigh', 'show', 'nud', 'permanent')).toBe('');
    expect(await node?.exec('bridge', 'fdb', 'show')).not.toContain('dst');
  });

  test('the network was changed: the address and the routes of before go', async () => {
    cluster = await Cluster.start('v4', 2);
    await runAll();
    await until(async () => (await traces()).routes.length === 1);
    for (const i of [0, 1]) await cluster.end(i, 'SIGTERM');
    fs.rmSync(cluster.file('leases'), { recursive: true });
    cluster.configure({ Network: '10.99.0.0/16', Backend: vxlan });
    await runAll();
    await until(() => cluster.reaches(0, 1, 4));
    expect(await traces()).toEqual({ devices: ['flannel.1'], routes: [] });
    expect(await cluster.nodes[0]?.exec('ip', 'addr', 'show', 'dev', 'flannel.1')).not.toContain('10.244.');
  });

  test('IPv6 was switched off, and the backend with it', async () => {
    cluster = await Cluster.start('dual', 2);
    await runAll();
    await until(async () => (await traces()).routes.length === 2);
    for (const i of [0, 1]) await cluster.end(i, 'SIGTERM');
    cluster.configure({ Network: '10.244.0.0/16', Backend: hostGw });
    await runAll();
    await until(async () => JSON.stringify(await traces()) === '{"devices":[],"routes":["eth0"]}');
  });
});

test.each([
  ['vxlan', vxlan],
  ['host-gw', hostGw],
])('a cluster that gets IPv6 node by node keeps IPv4 all the while: %s', async (_name, backend) => {
  cluster = await Cluster.start('dual', 2);
  const ipv4 = { Network: '10.244.0.0/16', Backend: backend };
  cluster.configure(ipv4);
  await runAll();
  for (const i of [0, 1]) await cluster.addPodAddress(i);
  await until(() => cluster.reachesPod(0, 1, 4));
  const other = `${cluster.device(1, 4)}/24`;
  await cluster.end(0, 'SIGTERM');
  use(backend);
  await cluster.run(0);
  await until(() => cluster.logs.get(0)?.includes('in part, since it has no IPv6 subnet') === true);
  expect(await cluster.nodes[0]?.exec('ip', 'route')).toContain(other);
  expect(await cluster.reachesPod(0, 1, 4)).toBe(true);
  await cluster.end(1, 'SIGTERM');
  await cluster.run(1);
  for (const i of [0, 1]) {
    await cluster.nodes[i]?.exec('ip', 'link', 'del', 'cni0');
    await cluster.addPodAddress(i);
  }
  for (const each of [4, 6] as const) await until(() => cluster.reachesPod(0, 1, each));
});

test('DirectRouting follows the routes of the node: behind a router there is the tunnel', async () => {
  cluster = await Cluster.start('dual', 2);
  use(direct);
  await runAll();
  const become = (devices: string[]) =>
    until(async () => JSON.stringify((await traces()).routes) === JSON.stringify(devices));
  await become(['eth0', 'eth0']);
  const node = cluster.nodes[0];
  await node?.exec('ip', 'route', 'add', '192.0.2.2/32', 'via', '192.0.2.254');
  await become(['eth0', 'flannel.1']);
  await node?.exec('ip', 'route', 'del', '192.0.2.2/32');
  await become(['eth0', 'eth0']);
});

test.each([
  ['vxlan', vxlan, 'flannel.1', 50],
  ['host-gw', hostGw, undefined, 0],
])('the MTU of the interface is followed: %s', async (_name, backend, device, overhead) => {
  cluster = await Cluster.start('v4', 1);
  use(backend);
  await cluster.run(0);
  const node = cluster.nodes[0];
  for (const mtu of [1400, 1500]) {
    await node?.exec('ip', 'link', 'set', 'eth0', 'mtu', String(mtu));
    const line = `FLANNEL_MTU=${mtu - overhead}\n`;
    await until(() => fs.readFileSync(cluster.file('0.env'), 'utf8').includes(line));
    if (device !== undefined)
      await until(
        async () => (await node?.exec('ip', 'link', 'show', device))?.includes(`mtu ${mtu - 50} `) === true,
      );
  }
});

test('host-gw refuses a peer by name while a router is between', async () => {
  cluster = await Cluster.start('v4', 2);
  use(hostGw);
  await runAll();
  await until(async () => (await traces()).routes.length === 1);
  const node = cluster.nodes[0];
  await node?.exec('ip', 'route', 'add', '192.0.2.2/32', 'via', '192.0.2.254');
  await until(async () => (await traces()).routes.length === 0);
  expect(cluster.logs.get(0)).toMatch(
    /the lease of node-1 is refused: its public address 192\.0\.2\.2 is behind a router/,
  );
  await node?.exec('ip', 'route', 'del', '192.0.2.2/32');
  await until(async () => (await traces()).routes.length === 1);
});

test('what belongs to others stays when the backend is changed', async () => {
  cluster = await Cluster.start('v4', 2);
  await runAll();
  const node = cluster.nodes[0];
  const foreign = [
    // Another flannel on this host, another program's tunnel, and an operator's routes.
    'link add flannel.2 type vxlan id 2 dev eth0 local 192.0.2.1 dstport 4789 nolearning',
    'addr add 10.11.1.0/32 dev flannel.2',
    'link set flannel.2 up',
    'route add 10.11.2.0/24 via 10.11.2.0 dev flannel.2 onlink',
    'link add vx9 type vxlan id 9 dev eth0 local 192.0.2.1 dstport 4790',
    'addr add 10.244.250.1/32 dev vx9',
    'link set vx9 up',
    'route add 10.244.251.0/24 via 192.0.2.9 proto static',
    'route add 10.244.252.0/24 via 192.0.2.9 proto boot',
  ];
  for (const command of foreign) await node?.exec('ip', ...command.split(' '));
  for (const i of [0, 1]) await cluster.end(i, 'SIGTERM');
  use(hostGw);
  await runAll();
  await until(async () => !(await traces()).devices.includes('flannel.1'));
  expect((await traces()).devices).toEqual(['flannel.2']);
  const routes = await node?.exec('ip', 'route');
  for (const kept of ['10.11.2.0/24 via 10.11.2.0 dev flannel.2', '10.244.251.0/24', '10.244.252.0/24'])
    expect(routes).toContain(kept);
  expect(await node?.exec('ip', 'addr', 'show', 'dev', 'vx9')).toContain('10.244.250.1');
});

describe('none', () => {
  const files = (texts: Record<string, string>): string => {
    const directory = cluster.file('net.d');
    fs.mkdirSync(directory);
    for (const [name, text] of Object.entries(texts)) fs.writeFileSync(`${directory}/${name}`, text);
    return directory;
  };
  const flannel = JSON.stringify({ name: 'cbr0', plugins: [{ type: 'flannel' }, { type: 'portmap' }] });
  const other = JSON.stringify({ name: 'other', plugins: [{ type: 'calico' }] });

  test('takes its own list of plugins away, starts nothing, and says what to do next', async () => {
    cluster = await Cluster.start('v4', 1);
    use({ Type: 'none' });
    const directory = files({ '10-flannel.conflist': flannel, '20-other.conflist': other });
    cluster.launch(0, { args: [`--cni-conf-dir=${directory}`] });
    await until(() => cluster.logs.get(0)?.includes('Install another CNI plugin') === true);
    expect(fs.readdirSync(directory)).toEqual(['20-other.conflist']);
    expect(await traces()).toEqual({ devices: [], routes: [] });
    for (const name of ['leases/node-0.json', '0.env', '0.sock'])
      expect(fs.existsSync(cluster.file(name))).toBe(false);
    expect(await cluster.end(0, 'SIGTERM')).toBe(0);
  });

  test('leaves a list alone that is somebody else’s though it has the name', async () => {
    cluster = await Cluster.start('v4', 1);
    use({ Type: 'none' });
    const directory = files({ '10-flannel.conflist': other });
    cluster.launch(0, { args: [`--cni-conf-dir=${directory}`] });
    await until(() => cluster.logs.get(0)?.includes('Install another CNI plugin') === true);
    expect(fs.readdirSync(directory)).toEqual(['10-flannel.conflist']);
  });
});
