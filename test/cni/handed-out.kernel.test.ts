import { describe, expect, test } from 'vitest';
import { frameTypes } from '../../src/cni/launcher/frame.ts';
import { serve } from '../../src/cni/serve.ts';
import { VirtualClock } from '../kit/virtual-clock.ts';
import { binding, environment, serving } from './serving.ts';
import { nothing, TestNode } from './test-node.ts';

/** An ADD whose launcher has WORK, and has not said DONE. */
async function handedOut(delegate = {}) {
  const node = new TestNode();
  const pod = node.pod();
  const clock = new VirtualClock();
  const { server, connect } = serving((request, caller) => serve(node.world, request, caller), { clock });
  const client = connect();
  const socket = binding.openNetlink(0, pod.fd);
  const cni = {
    CNI_NETNS: pod.path,
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/usr/lib/cni',
    FLANNEL_NETNS: `open:${pod.fd}`,
  };
  client.request(environment(cni), JSON.stringify(node.delegate(delegate)), [socket]);
  binding.close(socket);
  expect((await client.receive())?.type).toBe(frameTypes.WORK);
  return { node, pod, clock, server, client };
}

/** What whoever does the work needs to be left alone, and a DEL to find it. */
const kept = (reserved: string[]) => ({ veths: [], reserved, states: ['c1'], records: ['c1:eth0'] });
const both = kept(['10.244.1.2', 'fd00:244:0:1::2']);

describe('an ADD that is handed out', () => {
  test.each([
    ['the result, which may be out', {}],
    ['links and addresses, which are looked at afterwards', { enabledad: true }],
  ])('stands when the server stops, for the launcher may be at it: %s', async (_, delegate) => {
    const { node, pod, clock, server, client } = await handedOut(delegate);
    const closed = server.close();
    await clock.advance(2_000);
    await closed;
    expect(await client.receive()).toBeUndefined();
    expect(await node.leftovers()).toEqual(both);
    await node.ok('DEL', pod);
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('stands when the launcher sends what was not asked for', async () => {
    const { node, server, client } = await handedOut();
    client.send(frameTypes.REQUEST, 'nonsense');
    expect(await client.receive()).toBeUndefined();
    await server.close();
    expect(await node.leftovers()).toEqual(both);
  });

  test('is undone when the launcher has closed the connection: it is dead, or could not print the result', async () => {
    const { node, client } = await handedOut();
    client.close();
    await expect.poll(() => node.leftovers()).toEqual(nothing);
  });
});
