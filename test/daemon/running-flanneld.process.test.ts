import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { askStatus } from '../../src/tool/daemon-status.ts';
import type { Netns } from '../kit/netns.ts';
import { Cluster, until } from './cluster.ts';

let cluster: Cluster;
afterEach(() => cluster.stop());

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
    const repairs = () => askStatus(cluster.file('0.sock')).then(({ kernel }) => kernel.repairs);
    const [before, repaired] = [await state(), await repairs()];
    const mac = /(..:..:..:..:..:..) dst/.exec(before[2] ?? '')?.[1] ?? '';
    const words = command
      .replace('SUBNET', `${cluster.device(1, 4)}/24`)
      .replace('MAC', mac)
      .split(' ');
    await node.exec(words[0] ?? '', ...words.slice(1));
    // It may be back before anybody could look, but it was away.
    await until(async () => (await repairs()) > repaired);
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
