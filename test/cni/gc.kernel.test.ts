import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { sweep } from '../../src/cni/sweep.ts';
import { grace } from '../../src/ipam/sweep.ts';
import { type Json, nothing, TestNode } from './test-node.ts';

const key = 'cni.dev/valid-attachments';
const valid = (...ids: string[]) => ids.map((containerID) => ({ containerID, ifname: 'eth0' }));

async function withPods(ids: string[], delegate: Json = {}, changes = {}): Promise<TestNode> {
  const node = new TestNode(changes);
  for (const CNI_CONTAINERID of ids)
    await node.ok('ADD', node.pod(), node.delegate(delegate), { CNI_CONTAINERID });
  return node;
}
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
});

describe('the sweep', () => {
  const later = (ms: number) => ({
    clock: { now: () => Date.now() + ms, monotonic: () => performance.now(), after: () => () => {} },
  });

  test('takes the attachment whose veth is gone, once it is not young any more', async () => {
    const masquerade = { ipMasq: true, ipMasqBackend: 'nftables' };
    const node = await withPods(['c1', 'c2'], masquerade);
    const [veth = ''] = await node.veths();
    await node.host.exec('ip', 'link', 'del', veth);
    expect(await sweep(node.world, node.states)).toEqual({ addresses: 0, attachments: 0 });
    expect(node.reserved()).toHaveLength(4);
    expect(await sweep({ ...node.world, ...later(grace + 1000) }, node.states)).toEqual({
      addresses: 2,
      attachments: 1,
    });
    expect(node.reserved()).toHaveLength(2);
    expect(fs.readdirSync(node.states)).toHaveLength(1);
    expect(fs.readdirSync(node.records)).toHaveLength(1);
    const rules = await node.host.exec('nft', 'list', 'ruleset');
    expect(rules.match(/masquerade comment/g)).toHaveLength(2);
    expect(await node.veths()).toHaveLength(1);
  });

  test('leaves alone what is being made, however long that takes', async () => {
    const node = await withPods(['c1']);
    for (const veth of await node.veths()) await node.host.exec('ip', 'link', 'del', veth);
    const before = await node.leftovers();
    const world = { ...node.world, ...later(grace + 1000), beingMade: new Set(['cbr0/c1:eth0']) };
    expect(await sweep(world, node.states)).toEqual({ addresses: 0, attachments: 0 });
    expect(await node.leftovers()).toEqual(before);
    const made = { ...world, beingMade: new Set<string>() };
    expect(await sweep(made, node.states)).toEqual({ addresses: 2, attachments: 1 });
  });

  test('leaves alone what began to be made while it waited for the lock', async () => {
    const node = await withPods(['c1']);
    for (const veth of await node.veths()) await node.host.exec('ip', 'link', 'del', veth);
    for (const address of node.reserved()) fs.rmSync(path.join(node.addresses, address));
    const before = await node.leftovers();
    const beingMade = new Set<string>();
    const existingStore = (directory: string) => {
      const store = node.world.existingStore(directory);
      if (store === undefined) return undefined;
      const withLock: typeof store.withLock = async (work) => {
        beingMade.add('cbr0/c1:eth0');
        return store.withLock(work);
      };
      return { withLock, usage: () => [], close() {} };
    };
    expect(await sweep({ ...node.world, beingMade, existingStore }, node.states)).toEqual({
      addresses: 0,
      attachments: 0,
    });
    expect(await node.leftovers()).toEqual(before);
    beingMade.clear();
    expect(await sweep(node.world, node.states)).toEqual({ addresses: 0, attachments: 1 });
    expect(await node.leftovers()).toEqual(nothing);
  });

  test("takes what is from before this boot, also what Go's flannel added", async () => {
    const node = await withPods(['c1', 'c2']);
    for (const veth of await node.veths()) await node.host.exec('ip', 'link', 'del', veth);
    fs.rmSync(path.join(node.records, 'c2:eth0'));
    const rebooted = { ...node.world, bootTime: Date.now() + 5000 };
    expect(await sweep(rebooted, node.states)).toEqual({ addresses: 4, attachments: 1 });
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('leaves live pods alone whatever the clock says', async () => {
    const node = await withPods(['c1']);
    const before = await node.leftovers();
    const wrong = { ...node.world, ...later(10 * grace), bootTime: Date.now() + 5000 };
    expect(await sweep(wrong, node.states)).toEqual({ addresses: 0, attachments: 0 });
    expect(await node.leftovers()).toEqual(before);
  });

  test('leaves a stranger without a record until the next boot', async () => {
    const node = await withPods(['c1']);
    fs.rmSync(path.dirname(node.records), { recursive: true });
    await node.host.exec('ip', 'link', 'del', (await node.veths())[0] ?? '');
    expect(await sweep({ ...node.world, ...later(10 * grace) }, node.states)).toEqual({
      addresses: 0,
      attachments: 0,
    });
    expect(node.reserved()).toHaveLength(2);
  });

  test.each(['toolate', 'another'])(
    'goes on with the other networks when %s cannot be swept',
    async (stuck) => {
      const node = new TestNode();
      for (const name of ['toolate', 'another'])
        await node.ok('ADD', node.pod(), { ...node.delegate({}), name }, { CNI_CONTAINERID: `in-${name}` });
      for (const veth of await node.veths()) await node.host.exec('ip', 'link', 'del', veth);
      const warnings: string[] = [];
      const world = {
        ...node.world,
        ...later(grace + 1000),
        existingStore: (directory: string) => {
          if (path.basename(directory) === stuck) throw new Error('somebody holds the lock');
          return node.world.existingStore(directory);
        },
        log: { ...node.world.log, warn: (_: object, message: string) => void warnings.push(message) },
      };
      expect(await sweep(world, node.states)).toEqual({ addresses: 2, attachments: 1 });
      expect(warnings).toEqual([expect.stringContaining(stuck)]);
    },
  );

  test('logs what goes wrong, and does not reject', async () => {
    const warnings: string[] = [];
    const node = await withPods(['c1'], {}, {});
    const log = { ...node.world.log, warn: (_: object, message: string) => void warnings.push(message) };
    const broken = {
      ...node.world.files,
      list: () => {
        throw new Error('EIO');
      },
    };
    expect(await sweep({ ...node.world, files: broken, log }, node.states)).toEqual({
      addresses: 0,
      attachments: 0,
    });
    expect(warnings).toHaveLength(1);
  });
});
