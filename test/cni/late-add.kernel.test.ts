import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { sweep } from '../../src/cni/records/sweep.ts';
import type { World } from '../../src/cni/world.ts';
import { grace } from '../../src/ipam/sweep.ts';
import { systemClock } from '../../src/world/clock.ts';
import { nothing, TestNode } from './test-node.ts';

const late = { ...systemClock, now: () => Date.now() + grace + 1000 };
const second = { CNI_CONTAINERID: 'c2' };

/** A node whose first ADD with masquerade rules waits for the firewall while `happens` does. */
function waitingFor(happens: (node: TestNode) => Promise<unknown>): TestNode {
  let waited = false;
  const node: TestNode = new TestNode({
    async run() {
      const isFirst = !waited;
      waited = true;
      if (isFirst) await happens(node);
      return { code: 0, stdout: '', stderr: '' };
    },
  });
  return node;
}

const masqueraded = (node: TestNode) => node.delegate({ ipMasq: true, ipMasqBackend: 'nftables' });
const ofFlanneld = (node: TestNode, changes: Partial<World> = {}) => ({
  ...node.world,
  clock: late,
  beingMade: new Set<string>(),
  ...changes,
});
const sweepUp = (node: TestNode) => sweep(ofFlanneld(node), node.states);

describe('a stand-alone ADD that waited until its addresses were released', () => {
  test.each([
    ['by the sweep', sweepUp],
    ['by a DEL', (node: TestNode) => node.ok('DEL', '', masqueraded(node))],
  ])('%s takes itself back', async (_, happens) => {
    const node = waitingFor(happens);
    const pod = node.pod();
    expect(await node.error('ADD', pod, masqueraded(node))).toEqual({
      cniVersion: '1.1.0',
      code: 11,
      msg: expect.stringMatching(/10\.244\.1\.2\/24, fd00:.* were released/) as string,
    });
    expect(await node.leftovers()).toEqual(nothing);
    expect(await pod.json('ip', 'link', 'show', 'type', 'veth')).toEqual([]);
    await node.ok('ADD', pod, masqueraded(node));
  });

  test('leaves them to the pod that has them now', async () => {
    let result: unknown;
    const node = waitingFor(async () => {
      await sweepUp(node);
      fs.rmSync(path.join(node.addresses, 'last_reserved_ip.0'));
      fs.rmSync(path.join(node.addresses, 'last_reserved_ip.1'));
      result = await node.ok('ADD', node.pod(), undefined, second);
    });
    const { msg } = await node.error('ADD', node.pod(), masqueraded(node));
    expect(result).toMatchObject({ ips: [{ address: '10.244.1.2/24' }, {}] });
    expect(msg).toContain('10.244.1.2/24');
    expect(await node.leftovers()).toMatchObject({ states: ['c2'], records: ['c2:eth0'] });
    expect(node.reserved()).toEqual(['10.244.1.2', 'fd00:244:0:1::2']);
    expect(await node.veths()).toHaveLength(1);
  });

  test('takes itself back even when there are links already', async () => {
    const node: TestNode = new TestNode({ clock: { ...systemClock, monotonic: () => (release(), 0) } });
    const release = () => fs.rmSync(path.join(node.addresses, '10.244.1.2'), { force: true });
    expect(await node.error('ADD', node.pod(), node.delegate({ enabledad: true }))).toMatchObject({
      code: 11,
    });
    expect(await node.leftovers()).toEqual(nothing);
  });
});

test('a sweep that waited for the lock leaves the addresses to an ADD that has made its links meanwhile', async () => {
  const added = Promise.withResolvers<void>();
  const existingStore = (directory: string) => {
    const store = node.world.store(directory);
    const withLock: typeof store.withLock = (work) => added.promise.then(() => store.withLock(work));
    return { withLock, usage: () => [], close() {} };
  };
  let swept: Promise<unknown> | undefined;
  const node: TestNode = waitingFor(async () => {
    swept = sweep(ofFlanneld(node, { existingStore }), node.states);
  });
  await node.ok('ADD', node.pod(), masqueraded(node));
  const before = await node.leftovers();
  added.resolve();
  expect(await swept).toEqual({ addresses: 0, attachments: 0 });
  expect(await node.leftovers()).toEqual(before);
  expect(node.reserved()).toHaveLength(2);
});
