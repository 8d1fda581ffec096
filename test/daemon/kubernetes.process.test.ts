import fs from 'node:fs';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Api } from './api.ts';
import { Cluster, type Family, until } from './cluster.ts';

const prefix = 'flannel.alpha.coreos.com';
const podCIDRs = (i: number): string[] => [`10.244.${i + 1}.0/24`, `fd00:244:0:${i + 1}::/64`];

let cluster: Cluster;
let api: Api;
afterEach(async () => {
  await api.end();
  await cluster.stop();
});

/** Nodes on one bridge, and an API server beside them. */
async function start(family: Family, nodes: number): Promise<void> {
  cluster = await Cluster.start(family, nodes);
  api = await Api.start(cluster);
}

test('two nodes of a Kubernetes cluster reach each other, until one leaves', async () => {
  await start('dual', 2);
  for (const i of [0, 1]) await api.tell('addNode', `node-${i}`, podCIDRs(i), {});
  await cluster.run(0);
  await cluster.run(1);
  for (const family of [4, 6] as const) await until(() => cluster.reaches(0, 1, family));
  const { metadata, status } = (await api.tell('look')).nodes['node-0'] ?? {};
  const mac = async (device: string) =>
    /link\/ether (\S+)/.exec((await cluster.nodes[0]?.exec('ip', 'link', 'show', device)) ?? '')?.[1];
  expect(metadata?.annotations).toEqual({
    [`${prefix}/kube-subnet-manager`]: 'true',
    [`${prefix}/backend-type`]: 'vxlan',
    [`${prefix}/backend-data`]: `{"VNI":1,"VtepMAC":"${await mac('flannel.1')}"}`,
    [`${prefix}/backend-v6-data`]: `{"VNI":1,"VtepMAC":"${await mac('flannel-v6.1')}"}`,
    [`${prefix}/public-ip`]: '192.0.2.1',
    [`${prefix}/public-ipv6`]: '2001:db8::1',
  });
  const cleared = { type: 'NetworkUnavailable', status: 'False', reason: 'FlannelIsUp' };
  expect(status?.conditions).toEqual([expect.objectContaining(cleared)]);
  expect(cluster.subnet(0)).toBe('10.244.1.1');
  await api.tell('removeNode', 'node-1');
  await until(async () => !(await routes(0)).includes('10.244.2.0/24'));
});

test('a node waits for its podCIDR, and says who gives it one', async () => {
  await start('v4', 1);
  await api.tell('addNode', 'node-0', [], {});
  cluster.launch(0);
  await until(
    () => cluster.logs.get(0)?.includes('--allocate-node-cidrs and --cluster-cidr=10.244.0.0/16') === true,
  );
  await api.tell('setPodCIDRs', 'node-0', ['10.244.7.0/24']);
  await until(() => fs.existsSync(cluster.file('0.env')));
  expect(cluster.subnet(0)).toBe('10.244.7.1');
});

test('a Node that is made anew with another podCIDR is followed, and its peers follow', async () => {
  await start('v4', 2);
  for (const i of [0, 1]) await api.tell('addNode', `node-${i}`, podCIDRs(i), {});
  await cluster.run(0);
  await cluster.run(1);
  await until(() => cluster.reaches(0, 1, 4));
  await api.tell('removeNode', 'node-1');
  await until(() => cluster.logs.get(1)?.includes('there is no Node \\"node-1\\"') === true);
  await api.tell('addNode', 'node-1', ['10.244.9.0/24'], {});
  await until(() => cluster.subnet(1) === '10.244.9.1');
  await until(() => cluster.reaches(0, 1, 4));
  expect(await routes(0)).not.toContain('10.244.2.0/24');
});

test('without the API server nothing leaves the kernel, and a start takes what was known last', async () => {
  await start('v4', 2);
  for (const i of [0, 1]) await api.tell('addNode', `node-${i}`, podCIDRs(i), {});
  await cluster.run(0);
  await cluster.run(1);
  await until(() => cluster.reaches(0, 1, 4));
  const state = path.join(cluster.file('state-0'), 'state.json');
  await until(() => fs.existsSync(state) && fs.readFileSync(state, 'utf8').includes('node-1'));
  await api.tell('stop');
  await until(() => cluster.logs.get(0)?.includes('is away, peers stay as they are') === true);
  expect(await cluster.reaches(0, 1, 4)).toBe(true);
  await cluster.end(0, 'SIGKILL');
  await cluster.nodes[0]?.exec('ip', 'link', 'del', 'flannel.1'); // as after a reboot
  await cluster.run(0);
  await until(() => cluster.reaches(0, 1, 4));
  await api.tell('start');
  await until(() => cluster.logs.get(0)?.includes('answers again') === true, 30_000);
  expect(await cluster.reaches(0, 1, 4)).toBe(true);
});

test('an administrator chooses the address of a node, before it starts and while it runs', async () => {
  await start('v4', 2);
  await cluster.nodes[0]?.exec('ip', 'addr', 'add', '192.0.2.101/24', 'dev', 'eth0');
  await api.tell('addNode', 'node-0', podCIDRs(0), { [`${prefix}/node-public-ip`]: '192.0.2.101' });
  await api.tell('addNode', 'node-1', podCIDRs(1), { [`${prefix}/public-ip-overwrite`]: '203.0.113.1' });
  await cluster.run(0);
  await cluster.run(1);
  const published = async (i: number) =>
    (await api.tell('look')).nodes[`node-${i}`]?.metadata.annotations[`${prefix}/public-ip`];
  const local = async (i: number) =>
    / local (\S+) /.exec((await cluster.nodes[i]?.exec('ip', '-d', 'link', 'show', 'flannel.1')) ?? '')?.[1];
  expect([await published(0), await local(0)]).toEqual(['192.0.2.101', '192.0.2.101']);
  // Told to the others, and nothing else.
  expect([await published(1), await local(1)]).toEqual(['203.0.113.1', '192.0.2.2']);
  await api.tell('annotate', 'node-0', { [`${prefix}/node-public-ip`]: '192.0.2.1' });
  await api.tell('annotate', 'node-1', { [`${prefix}/public-ip-overwrite`]: '' });
  await until(async () => (await published(0)) === '192.0.2.1' && (await local(0)) === '192.0.2.1');
  await until(async () => (await published(1)) === '192.0.2.2');
  await until(() => cluster.reaches(0, 1, 4));
});

test('an address that an administrator chose and no interface has is named, and waited for', async () => {
  await start('v4', 1);
  await api.tell('addNode', 'node-0', podCIDRs(0), { [`${prefix}/node-public-ip`]: '192.0.2.101' });
  cluster.launch(0);
  const log = () => cluster.logs.get(0) ?? '';
  await until(() => /no lease yet: no interface .*192\.0\.2\.101/.test(log()));
  const annotations = async () => (await api.tell('look')).nodes['node-0']?.metadata.annotations;
  expect(await annotations()).toEqual({ [`${prefix}/node-public-ip`]: '192.0.2.101' });
  await cluster.nodes[0]?.exec('ip', 'addr', 'add', '192.0.2.101/24', 'dev', 'eth0');
  await until(() => fs.existsSync(cluster.file('0.env')));
  expect(await annotations()).toMatchObject({ [`${prefix}/public-ip`]: '192.0.2.101' });
});

const routes = async (i: number): Promise<string> => (await cluster.nodes[i]?.exec('ip', 'route')) ?? '';
