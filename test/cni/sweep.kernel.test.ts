import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { sweep } from '../../src/cni/records/sweep.ts';
import { grace } from '../../src/ipam/sweep.ts';
import type { AttachmentRecord } from '../../src/cni/records/record.ts';
import { nothing, TestNode, withPods } from './test-node.ts';

const later = (ms: number) => ({
  clock: { now: () => Date.now() + ms, monotonic: () => performance.now(), after: () => () => {} },
});
const released = (addresses: number, attachments: number) => ({ addresses, attachments });

describe('the sweep', () => {
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

  test('asks for all links no more often, however many have lost theirs', async () => {
    const node = await withPods(['c1', 'c2', 'c3']);
    for (const veth of await node.veths()) await node.host.exec('ip', 'link', 'del', veth);
    const dump = vi.spyOn(node.world.host, 'dump');
    expect(await sweep({ ...node.world, ...later(grace + 1000) }, node.states)).toEqual(released(6, 3));
    // To begin with, and under the lock.
    expect(dump).toHaveBeenCalledTimes(2);
  });

  test('leaves alone what is being made, however long that takes, and whatever the clock says', async () => {
    const node = await withPods(['c1']);
    for (const veth of await node.veths()) await node.host.exec('ip', 'link', 'del', veth);
    const before = await node.leftovers();
    const world = { ...node.world, ...later(grace + 1000), beingMade: new Set(['cbr0/c1:eth0']) };
    for (const bootTime of [0, Date.now() + 5000])
      expect(await sweep({ ...world, bootTime }, node.states)).toEqual({ addresses: 0, attachments: 0 });
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

  test.each([
    ['name', 'web0'],
    ['address', '02:00:00:00:00:99'],
  ])("leaves a live pod alone whose veth's %s somebody has changed", async (what, value) => {
    const node = await withPods(['c1']);
    const [veth = ''] = await node.veths();
    await node.host.exec('ip', 'link', 'set', veth, what, value);
    const before = await node.leftovers();
    const wrong = { ...node.world, ...later(10 * grace), bootTime: Date.now() + 5000 };
    expect(await sweep(wrong, node.states)).toEqual(released(0, 0));
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

describe('the sweep of another network namespace, with the same directories', () => {
  const masquerade = { ipMasq: true, ipMasqBackend: 'nftables' };
  const longAfter = later(10 * grace);
  const elsewhere = ({ directory }: TestNode) => new TestNode(longAfter, directory);

  function recordsOf({ records }: TestNode): AttachmentRecord[] {
    const files = fs.readdirSync(records).map((name) => fs.readFileSync(path.join(records, name), 'utf8'));
    return files.map((text) => JSON.parse(text) as AttachmentRecord);
  }

  /** As a version wrote them that named no namespace. */
  function withoutNamespace(node: TestNode): void {
    for (const { hostNetns: _, ...record } of recordsOf(node))
      fs.writeFileSync(
        path.join(node.records, `${record.containerID}:${record.ifname}`),
        JSON.stringify(record),
      );
  }

  function removeAddresses(node: TestNode): void {
    for (const address of node.reserved()) fs.rmSync(path.join(node.addresses, address));
  }

  async function removeVeths(node: TestNode): Promise<void> {
    for (const veth of await node.veths()) await node.host.exec('ip', 'link', 'del', veth);
  }

  const all = async (node: TestNode) => [
    await node.leftovers(),
    await node.host.exec('nft', 'list', 'ruleset'),
  ];

  test.each(['now', 'an earlier version'])(
    'leaves live pods alone, with the records of %s',
    async (version) => {
      const node = await withPods(['c1', 'c2'], masquerade);
      if (version !== 'now') withoutNamespace(node);
      const before = await all(node);
      expect(await sweep(elsewhere(node).world, node.states)).toEqual(released(0, 0));
      expect(await all(node)).toEqual(before);
    },
  );

  test('leaves an attachment alone whose addresses somebody has removed', async () => {
    const node = await withPods(['c1'], masquerade);
    removeAddresses(node);
    const before = await all(node);
    expect(await sweep(elsewhere(node).world, node.states)).toEqual(released(0, 0));
    expect(await all(node)).toEqual(before);
  });

  test.each([4, 0])('takes what is from before this boot, with %j addresses', async (addresses) => {
    const node = await withPods(['c1', 'c2']);
    if (addresses === 0) removeAddresses(node);
    const rebooted = { ...elsewhere(node).world, bootTime: Date.now() + 5000 };
    expect(await sweep(rebooted, node.states)).toEqual(released(addresses, 2));
    expect(await node.leftovers()).toEqual({ ...nothing, veths: await node.veths() });
  });

  test('takes what a namespace had that is gone, when it has got its number', async () => {
    const node = await withPods(['c1', 'c2']);
    const heir = { ...elsewhere(node).world, hostNetns: node.world.hostNetns };
    expect(await sweep(heir, node.states)).toEqual(released(4, 2));
  });

  test('leaves what a namespace had that is gone, which it cannot know: DEL and GC take that', async () => {
    const node = await withPods(['c1', 'c2', 'c3']);
    const next = elsewhere(node);
    node.world.host.close();
    node.host.remove();
    expect(await sweep(next.world, node.states)).toEqual(released(0, 0));
    await next.ok('DEL', '');
    expect(await next.leftovers()).toMatchObject({ states: ['c2', 'c3'], records: ['c2:eth0', 'c3:eth0'] });
    const valid = { 'cni.dev/valid-attachments': [{ containerID: 'c3', ifname: 'eth0' }] };
    await next.ok('GC', '', { ...node.configuration(), ...valid }, { CNI_CONTAINERID: '', CNI_IFNAME: '' });
    expect(await next.leftovers()).toMatchObject({ states: ['c3'], records: ['c3:eth0'] });
    expect(next.reserved()).toHaveLength(2);
  });

  test('names no namespace for an earlier version; that of the links does, and can take them then', async () => {
    const node = await withPods(['c1', 'c2']);
    const named = recordsOf(node);
    withoutNamespace(node);
    const unnamed = recordsOf(node);
    const world = { ...node.world, ...longAfter };
    await sweep(elsewhere(node).world, node.states);
    expect(recordsOf(node)).toEqual(unnamed);
    expect(await sweep(world, node.states)).toEqual(released(0, 0));
    expect(recordsOf(node)).toEqual(named);
    await removeVeths(node);
    expect(await sweep(world, node.states)).toEqual(released(4, 2));
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('goes on where a name cannot be written down', async () => {
    const node = await withPods(['c1']);
    withoutNamespace(node);
    await node.ok('ADD', node.pod(), undefined, { CNI_CONTAINERID: 'c2' });
    const gone = recordsOf(node).find(({ containerID }) => containerID === 'c2')?.hostLink ?? '';
    await node.host.exec('ip', 'link', 'del', gone);
    const write = () => {
      throw new Error('ENOSPC');
    };
    const world = { ...node.world, ...longAfter, files: { ...node.world.files, write } };
    expect(await sweep(world, node.states)).toEqual(released(2, 1));
    expect(await node.leftovers()).toMatchObject({ records: ['c1:eth0'] });
  });
});
