import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Json, nothing, TestNode, withPods } from './test-node.ts';

const key = 'cni.dev/valid-attachments';
const valid = (...ids: string[]) => ids.map((containerID) => ({ containerID, ifname: 'eth0' }));

const gc = (node: TestNode, list: Json, delegate: Json = {}) =>
  node.ok('GC', '', { ...node.delegate(delegate), ...list }, { CNI_CONTAINERID: '', CNI_IFNAME: '' });

describe('GC', () => {
  test('keeps what is valid and takes the rest: links, addresses, files', async () => {
    const node = await withPods(['c1', 'c2', 'c3']);
    await gc(node, { [key]: valid('c2') });
    expect(await node.leftovers()).toEqual({
      veths: [expect.anything()],
      reserved: ['10.244.1.3', 'fd00:244:0:1::3'],
      states: ['c2'],
      records: ['c2:eth0'],
    });
    expect(fs.readFileSync(path.join(node.addresses, 'last_reserved_ip.0'), 'utf8')).toBe('10.244.1.4');
  });

  test('asks for all links but once, however many are gone', async () => {
    const node = await withPods(['c1', 'c2', 'c3']);
    for (const veth of await node.veths()) await node.host.exec('ip', 'link', 'del', veth);
    const dump = vi.spyOn(node.world.host, 'dump');
    await gc(node, { [key]: [] });
    expect(dump).toHaveBeenCalledOnce();
    expect(await node.leftovers()).toEqual(nothing);
  });

  test.each([[null], [[]]])('takes all when %j is valid', async (list) => {
    const node = await withPods(['c1', 'c2']);
    await gc(node, { [key]: list });
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('takes nothing when nobody said what is valid', async () => {
    const node = await withPods(['c1']);
    const before = await node.leftovers();
    await gc(node, {});
    expect(await node.leftovers()).toEqual(before);
  });

  test('reads the older key, and keeps what either lists', async () => {
    const node = await withPods(['c1', 'c2', 'c3']);
    await gc(node, { [key]: valid('c1'), 'cni.dev/attachments': valid('c2') });
    expect(await node.leftovers()).toMatchObject({ states: ['c1', 'c2'], records: ['c1:eth0', 'c2:eth0'] });
  });

  test("takes what Go's flannel left: addresses, also in the old format, and state files", async () => {
    const node = await withPods(['c1', 'c2']);
    fs.rmSync(path.dirname(node.records), { recursive: true });
    fs.writeFileSync(path.join(node.addresses, '10.244.1.77'), 'c2');
    fs.writeFileSync(path.join(node.addresses, '10.244.1.78'), 'c3');
    await gc(node, { [key]: valid('c2') });
    expect(node.reserved()).toEqual(['10.244.1.3', '10.244.1.77', 'fd00:244:0:1::3']);
    expect(fs.readdirSync(node.states)).toEqual(['c2']);
  });

  test('leaves another network alone', async () => {
    const node = await withPods(['c1']);
    await node.ok(
      'ADD',
      node.pod(),
      node.configuration({ name: 'other', delegate: { bridge: 'cni1', forceAddress: true } }),
      {
        CNI_CONTAINERID: 'c2',
      },
    );
    await gc(node, { [key]: [] });
    expect(node.reserved()).toEqual([]);
    expect(fs.readdirSync(path.join(node.networks, 'other'))).toContain('10.244.1.2');
    expect(fs.readdirSync(node.states)).toEqual(['c2']);
    expect(await node.veths()).toHaveLength(1);
  });

  test.each(['iptables', 'nftables'])('takes the %s rules of what is stale', async (ipMasqBackend) => {
    const masquerade = { ipMasq: true, ipMasqBackend };
    const node = await withPods(['c1', 'c2'], masquerade);
    const rules = () =>
      ipMasqBackend === 'iptables'
        ? node.host.exec('iptables-save', '-t', 'nat')
        : node.host.exec('nft', 'list', 'ruleset');
    expect(await rules()).toMatch(/10\.244\.1\.2(?=[/ ])/);
    await gc(node, { [key]: valid('c2') }, masquerade);
    const left = await rules();
    expect(left).not.toMatch(/10\.244\.1\.2(?=[/ ])/);
    expect(left).toMatch(/10\.244\.1\.3(?=[/ ])/);
  });

  test('refuses a list that it cannot understand', async () => {
    const node = await withPods(['c1']);
    const configuration = { ...node.configuration(), [key]: [{ containerID: 'c1' }] };
    expect(await node.error('GC', '', configuration)).toMatchObject({ code: 7 });
    expect(node.reserved()).toHaveLength(2);
  });
});

describe('STATUS', () => {
  test('is well without a bridge, and makes none', async () => {
    const node = new TestNode();
    await node.ok('STATUS', '', undefined, { CNI_CONTAINERID: '', CNI_IFNAME: '' });
    expect(await node.host.json('ip', 'link')).toHaveLength(1);
  });

  test('is 50 without a subnet, and the message names the file', async () => {
    const node = new TestNode();
    fs.rmSync(node.subnetFile);
    const { code, msg } = await node.error('STATUS', '');
    expect(code).toBe(50);
    expect(msg).toContain(node.subnetFile);
  });

  test.each(['flannel', 'flannelette', 'networks'])('is 50 where %s cannot be written in', async (name) => {
    const node = new TestNode();
    const place = path.join(node.directory, name);
    fs.mkdirSync(place);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'none', place]);
    onTestFinished(() => void execFileSync('umount', [place]));
    const { code, msg } = await node.error('STATUS', '');
    expect(code).toBe(50);
    expect(msg).toMatch(/^cannot write in .*: EROFS: .*; mount it writable or set dataDir/);
    expect(msg).toContain(place);
  });

  test('is 50 where a file stands in the place of a directory', async () => {
    const node = new TestNode();
    fs.writeFileSync(node.networks, '');
    expect(await node.error('STATUS', '')).toMatchObject({
      code: 50,
      msg: expect.stringContaining('ENOTDIR'),
    });
  });
});
