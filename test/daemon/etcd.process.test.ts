import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { askStatus } from '../../src/tool/daemon-status.ts';
import { Authority } from '../kit/certificates.ts';
import { Etcd, type EtcdLaunch } from '../kit/etcd.ts';
import { Cluster, type Family, flanneld, until } from './cluster.ts';

const prefix = '/coreos.com/network';
/** The bridge's own address: there etcd listens. */
const host = '192.0.2.253';
const hostV6 = '2001:db8::fd';
const config = { Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } };

let cluster: Cluster;
let etcd: Etcd;

async function begin(family: Family, launch: EtcdLaunch = {}): Promise<void> {
  cluster = await Cluster.start(family, 2);
  await cluster.underlay.exec('ip', 'link', 'set', 'lo', 'up');
  await cluster.underlay.exec('ip', 'addr', 'add', `${host}/24`, 'dev', 'br0');
  await cluster.underlay.exec('ip', 'addr', 'add', `${hostV6}/64`, 'dev', 'br0', 'nodad');
  const address = family === 'v6' ? `[${hostV6}]` : host;
  etcd = await Etcd.start({ ...launch, address, before: ['nsenter', `--net=${cluster.underlay.path}`] });
  cluster.registry = [`--etcd-endpoints=${etcd.url}`];
}
afterEach(async () => {
  await cluster.stop();
  await etcd.stop();
});

/** Asks etcd's gateway, from where it is reached. */
async function ask(path: string, question: object): Promise<{ kvs?: { key: string }[] }> {
  const script = `fetch(${JSON.stringify(etcd.url + path)}, { method: 'POST', body: ${JSON.stringify(JSON.stringify(question))} })
    .then((answer) => answer.text()).then((text) => console.log(text))`;
  const trust = `NODE_EXTRA_CA_CERTS=${cluster.file('ca.crt')}`;
  const answer = await cluster.underlay.exec('env', trust, process.execPath, '-e', script);
  return JSON.parse(answer) as { kvs?: { key: string }[] };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const put = (key: string, value: unknown) =>
  ask('/v3/kv/put', { key: base64(`${prefix}/${key}`), value: base64(JSON.stringify(value)) });
const remove = (key: string) => ask('/v3/kv/deleterange', { key: base64(`${prefix}/${key}`) });
const leases = async (): Promise<string[]> => {
  const range = { key: base64(`${prefix}/subnets/`), range_end: base64(`${prefix}/subnets0`) };
  const { kvs = [] } = await ask('/v3/kv/range', range);
  return kvs.map(({ key }) => Buffer.from(key, 'base64').toString().slice(`${prefix}/subnets/`.length));
};
/** Leases of ever other subnets whose values are no leases. */
async function putJunk(count: number): Promise<void> {
  const script = `
    const base64 = (text) => Buffer.from(text).toString('base64');
    for (let at = 0; at < ${count}; at += 100) {
      const success = Array.from({ length: 100 }, (_, i) => {
        const key = '${prefix}/subnets/10.' + (100 + (at + i >> 8)) + '.' + (at + i & 255) + '.0-24';
        return { request_put: { key: base64(key), value: base64('{"PublicIP":') } };
      });
      await fetch('${etcd.url}/v3/kv/txn', { method: 'POST', body: JSON.stringify({ success }) });
    }`;
  await cluster.underlay.exec(process.execPath, '--input-type=module', '-e', script);
}

const leaseOf = (i: number): string => `${cluster.subnet(i).replace(/\.1$/, '.0')}-24`;

describe.each(['v6', 'dual'] as const)('two nodes joined by etcd, %s', (family) => {
  test('start at once, reach each other, and come back to their subnets', async () => {
    await begin(family);
    await put('config', cluster.configuration());
    await Promise.all([cluster.run(0), cluster.run(1)]);
    for (const each of family === 'v6' ? ([6] as const) : ([4, 6] as const)) {
      await until(() => cluster.reaches(0, 1, each));
    }
    const names = await leases();
    const form = family === 'v6' ? /^0\.0\.0\.0-0&fd00:.*-64$/ : /^10\.244\.\d+\.0-24&fd00:.*-64$/;
    expect(names).toEqual([expect.stringMatching(form), expect.stringMatching(form)]);
    await cluster.end(0, 'SIGTERM');
    await cluster.run(0);
    expect(await leases()).toEqual(names);
  });
});

describe('two nodes joined by etcd', () => {
  beforeEach(() => begin('v4'));

  test('wait for a network configuration, and say so', async () => {
    const first = cluster.launch(0, { args: ['--healthz-port=8471'] });
    await until(() => cluster.logs.get(0)?.includes(`etcdctl put ${prefix}/config`) === true);
    const get = (path: string) =>
      cluster.nodes[0]?.exec(
        process.execPath,
        '-e',
        `fetch('http://127.0.0.1:8471${path}').then(async (a) => console.log(a.status, await a.text()))`,
      );
    expect(await get('/readyz')).toMatch(/503 .*network configuration/s);
    expect(await get('/metrics')).toMatch(/^503 /);
    await put('config', config);
    await until(() => fs.existsSync(cluster.file('0.env')));
    expect(first.exitCode).toBeNull();
    expect(await get('/metrics')).toMatch(/^200 .*^flanneld_registry_up 1$.*^flanneld_peers 0$/ms);
  });

  test('one to which no registry was named looks for etcd here, names others, and ends by SIGTERM', async () => {
    cluster.registry = [];
    cluster.launch(0);
    await until(() => cluster.logs.get(0)?.includes('waiting for the network configuration') === true);
    const [, said = ''] = /waiting for (.*)"}/.exec(cluster.logs.get(0) ?? '') ?? [];
    expect(said).toMatch(/127\.0\.0\.1:4001.*127\.0\.0\.1:2379.*--kube-subnet-mgr or --lease-dir/);
    expect(said).not.toContain('?.');
    expect(await cluster.end(0, 'SIGTERM')).toBe(0);
  });

  test('reach each other; a lease is Go flannel’s, and hangs on an etcd lease', async () => {
    await put('config', config);
    await Promise.all([cluster.run(0), cluster.run(1)]);
    await until(() => cluster.reaches(0, 1, 4));
    expect(await cluster.reaches(1, 0, 4)).toBe(true);
    expect((await leases()).toSorted()).toEqual([leaseOf(0), leaseOf(1)].toSorted());
  });

  test('a dry run tells what a start would change, and writes nothing', async () => {
    await put('config', config);
    await put('subnets/10.244.5.0-24', { PublicIP: '192.0.2.1', BackendType: 'vxlan' });
    const told = await cluster.nodes[0]?.exec(flanneld, ...cluster.args(0), '--adopt-dry-run');
    expect(told).toMatch(/10\.244\.5\.0/);
    expect(told).toMatch(/flannel\.1/);
    expect(fs.existsSync(cluster.file('state-0'))).toBe(false);
    expect(await cluster.nodes[0]?.exec('ip', '-o', 'link')).not.toContain('flannel');
  });

  test('a node comes back to its subnet by its address, by its subnet file first', async () => {
    await put('config', config);
    await cluster.run(0);
    const subnet = cluster.subnet(0);
    await cluster.end(0, 'SIGKILL');
    await cluster.run(0);
    expect(cluster.subnet(0)).toBe(subnet);
    expect(await leases()).toHaveLength(1);
  });

  test('a lease that somebody deletes is there again, and the daemon goes on', async () => {
    await put('config', config);
    await Promise.all([cluster.run(0), cluster.run(1)]);
    await until(() => cluster.reaches(0, 1, 4));
    await remove(`subnets/${leaseOf(0)}`);
    await until(async () => (await leases()).includes(leaseOf(0)));
    await until(() => cluster.reaches(1, 0, 4));
    expect(cluster.logs.get(0)).toContain('the lease of this node is gone');
  });

  test('a lying lease and junk are named, and keep nobody from anybody', async () => {
    await put('config', config);
    await put('subnets/hello', 'x');
    await put('subnets/10.244.200.0-24', { PublicIP: 7 });
    await put('subnets/192.0.2.0-24', { PublicIP: '192.0.2.66', BackendType: 'vxlan' });
    await put('subnets/10.244.201.0-24', { PublicIP: '192.0.2.1', BackendType: 'vxlan' });
    await put('subnets/10.244.202.0-24', {
      PublicIP: '192.0.2.67',
      BackendType: 'vxlan',
      BackendData: { VNI: 1, VtepMAC: '02:00:00:00:00:67' },
    });
    await cluster.run(0);
    await cluster.run(1);
    await until(() => cluster.reaches(0, 1, 4));
    // A reservation without a lease of etcd's: by its address it is ours.
    expect(leaseOf(0)).toBe('10.244.201.0-24');
    const log = cluster.logs.get(0) ?? '';
    for (const named of ['hello', '10.244.200.0-24', '192.0.2.0-24']) expect(log).toContain(named);
    expect(await cluster.nodes[0]?.exec('ip', 'route')).toContain('10.244.202.0/24');
  });

  test('junk that comes and goes while it runs costs nobody anything, and SIGTERM is heeded', async () => {
    await put('config', config);
    await Promise.all([cluster.run(0), cluster.run(1)]);
    await until(() => cluster.reaches(0, 1, 4));
    const routes = () => cluster.nodes[0]?.exec('ip', 'route', 'show', 'dev', 'flannel.1');
    const before = await routes();
    // What is heard of the mark has gone through all that was told before it.
    const mark = async (i: number) => {
      await put(`subnets/mark-${i}`, 'x');
      await until(() => cluster.logs.get(0)?.includes(`mark-${i}`) === true);
    };
    await put('subnets/hello', 'x');
    await put('subnets/::ffff:10.244.77.0-120', { PublicIP: '192.0.2.66', BackendType: 'vxlan' });
    await put('subnets/10.244.77.0-24', { PublicIP: 7 });
    await put(`subnets/${leaseOf(1)}`, 'torn');
    await put(`subnets/${leaseOf(0)}`, 'torn');
    await mark(1);
    expect(await routes()).toBe(before);
    for (const key of ['hello', '::ffff:10.244.77.0-120', '10.244.77.0-24']) await remove(`subnets/${key}`);
    await mark(2);
    expect(await routes()).toBe(before);
    expect(await cluster.reaches(0, 1, 4)).toBe(true);
    expect(await cluster.end(0, 'SIGTERM')).toBe(0);
  });

  test('ten thousand entries of junk are named one by one, and the others work', async () => {
    await put('config', { ...config, Network: '10.0.0.0/8' });
    await putJunk(10_000);
    await Promise.all([cluster.run(0), cluster.run(1)]);
    await until(() => cluster.reaches(0, 1, 4));
    await until(async () => (await askStatus(cluster.file('0.sock'))).refused.length === 10_000);
    const { peers } = await askStatus(cluster.file('0.sock'));
    expect(peers.map(({ attributes }) => attributes.publicIP)).toEqual(['192.0.2.2']);
  });

  test('etcd is killed and comes back; a node starts without it', async () => {
    await put('config', config);
    await Promise.all([cluster.run(0), cluster.run(1)]);
    await until(() => cluster.reaches(0, 1, 4));
    const state = cluster.file('state-1/state.json');
    await until(() => fs.existsSync(state) && fs.readFileSync(state, 'utf8').includes('192.0.2.1'));
    await etcd.kill();
    await until(() => cluster.logs.get(0)?.includes('peers stay as they are') === true);
    expect(await cluster.reaches(0, 1, 4)).toBe(true);
    await cluster.end(1, 'SIGKILL');
    await cluster.run(1);
    expect(cluster.logs.get(1)).toMatch(
      /starting with the network configuration last known.*starting with the lease last known/s,
    );
    expect(await cluster.reaches(1, 0, 4)).toBe(true);
    await etcd.begin();
    await until(() => cluster.logs.get(0)?.includes('answers again') === true, 20_000);
    await until(() => cluster.logs.get(1)?.includes('answers again') === true, 20_000);
    expect(await leases()).toHaveLength(2);
  });

  test('a changed configuration is told, and comes into use with the next start', async () => {
    await put('config', config);
    await cluster.run(0);
    await put('config', { ...config, Backend: { Type: 'vxlan', VNI: 7 } });
    await until(() => cluster.logs.get(0)?.includes('restart flanneld for the new one') === true);
    const { configuration } = await askStatus(cluster.file('0.sock'));
    expect(configuration).toMatch(/\/coreos\.com\/network\/config in etcd has changed/);
    expect(await cluster.nodes[0]?.exec('ip', '-o', 'link')).toContain('flannel.1:');
    await put('config', 'nonsense');
    await until(() => cluster.logs.get(0)?.includes('has become unusable') === true);
    await remove('config');
    await until(() => cluster.logs.get(0)?.includes('in etcd is gone') === true);
    await put('config', { ...config, Backend: { Type: 'vxlan', VNI: 7 } });
    await cluster.end(0, 'SIGTERM');
    await cluster.run(0);
    expect(await cluster.nodes[0]?.exec('ip', '-o', 'link')).toContain('flannel.7:');
  });
});

test('etcd with TLS and users: by file and password, which nobody gets to see', async () => {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-etcd-tls-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }));
  const file = (name: string, text: string): string => {
    fs.writeFileSync(path.join(directory, name), text);
    return path.join(directory, name);
  };
  const authority = new Authority('authority');
  const server = authority.issue('etcd', { names: [host] });
  const tls = [
    `--cert-file=${file('server.crt', server.cert)}`,
    `--key-file=${file('server.key', server.key)}`,
  ];
  await begin('v4', { scheme: 'https', args: tls });
  fs.writeFileSync(cluster.file('ca.crt'), authority.cert);
  await put('config', config);
  for (const name of ['root', 'fl']) {
    await ask('/v3/auth/user/add', { name, password: 'hush-hush' });
    await ask('/v3/auth/role/add', { name });
    await ask('/v3/auth/user/grant', { user: name, role: name });
  }
  const perm = { permType: 'READWRITE', key: base64(`${prefix}/`), range_end: base64(`${prefix}0`) };
  await ask('/v3/auth/role/grant', { name: 'fl', perm });
  await ask('/v3/auth/enable', {});
  cluster.registry = [...cluster.registry, `--etcd-cafile=${cluster.file('ca.crt')}`, '--etcd-username=fl'];
  const before = ['env', 'FLANNELD_ETCD_PASSWORD=hush-hush'];
  await Promise.all([cluster.run(0, { before }), cluster.run(1, { before })]);
  await until(() => cluster.reaches(0, 1, 4));
  expect(JSON.stringify([...cluster.logs.values()])).not.toContain('hush-hush');
  const { registry } = await askStatus(cluster.file('0.sock'));
  expect(registry).toEqual({ name: `etcd at ${etcd.url}` });
});
