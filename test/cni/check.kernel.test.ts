import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Netns } from '../kit/netns.ts';
import { type Json, TestNode } from './test-node.ts';

interface Attached {
  node: TestNode;
  pod: Netns;
  prevResult: Json;
  veth: string;
}

async function attached(delegate: Json = {}): Promise<Attached> {
  const node = new TestNode();
  const pod = node.pod();
  const prevResult = (await node.ok('ADD', pod, node.delegate(delegate))) ?? {};
  const [veth = ''] = await node.veths();
  return { node, pod, prevResult, veth };
}

const check = ({ node, pod, prevResult }: Attached) =>
  node.ok('CHECK', pod, node.configuration({ prevResult }));

describe('CHECK is content', () => {
  test.each(['0.4.0', '1.0.0', '1.1.0'])('right after ADD in version %s', async (cniVersion) => {
    const node = new TestNode();
    const pod = node.pod();
    const prevResult = await node.ok('ADD', pod, node.configuration({ cniVersion }));
    await node.ok('CHECK', pod, node.configuration({ cniVersion, prevResult }));
  });

  test.each([
    [
      'tuning gave the pod another MAC',
      async ({ pod, prevResult }: Attached) => {
        await pod.exec('ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:77');
        const { interfaces } = prevResult as { interfaces: Json[] };
        if (interfaces[2]) interfaces[2]['mac'] = '02:00:00:00:00:77';
      },
    ],
    [
      'tuning gave the pod another MTU',
      ({ pod }: Attached) => pod.exec('ip', 'link', 'set', 'eth0', 'mtu', '1400'),
    ],
    [
      'bandwidth added an ifb',
      async ({ prevResult }: Attached) => {
        (prevResult as { interfaces: Json[] }).interfaces.push({
          name: 'bwp0123456789ab',
          mac: '02:00:00:00:00:88',
        });
      },
    ],
    [
      'sbr moved a route to another table',
      async ({ pod }: Attached) => {
        await pod.exec('ip', 'route', 'del', 'default');
        await pod.exec('ip', 'route', 'add', 'default', 'via', '10.244.1.1', 'table', '100');
      },
    ],
    [
      'udev gave the node end another MAC',
      ({ node, veth }: Attached) => node.host.exec('ip', 'link', 'set', veth, 'address', '02:00:00:00:00:99'),
    ],
    [
      'somebody gave the node end another name',
      async ({ node, veth }: Attached) => {
        await node.host.exec('ip', 'link', 'set', veth, 'name', 'web0');
      },
    ],
    [
      'somebody listens on the bridge',
      ({ node }: Attached) => node.host.exec('ip', 'link', 'set', 'cni0', 'promisc', 'on'),
    ],
    ['the subnet file is gone', async ({ node }: Attached) => fs.rmSync(node.subnetFile)],
  ])('when %s', async (_, change) => {
    const state = await attached();
    await change(state);
    await check(state);
  });
});

describe('CHECK says what is broken', () => {
  test.each([
    [
      'address',
      ({ pod }: Attached) => pod.exec('ip', 'addr', 'del', '10.244.1.2/24', 'dev', 'eth0'),
      /Failed to match addr 10.244.1.2\/24 on interface eth0/,
    ],
    [
      'IPv6 address',
      ({ pod }: Attached) => pod.exec('ip', 'addr', 'del', 'fd00:244:0:1::2/64', 'dev', 'eth0'),
      /Failed to match addr fd00:244:0:1::2\/64 on interface eth0/,
    ],
    [
      'default route',
      ({ pod }: Attached) => pod.exec('ip', 'route', 'del', 'default'),
      /Expected Route 0.0.0.0\/0 via 10.244.1.1 not found in routing table/,
    ],
    [
      'route without a gateway in the result',
      ({ pod }: Attached) => pod.exec('ip', 'route', 'del', '10.244.0.0/16'),
      /Expected Route 10.244.0.0\/16 not found in routing table/,
    ],
    [
      'reservation',
      async ({ node }: Attached) => fs.rmSync(path.join(node.addresses, '10.244.1.2')),
      /host-local: Failed to find address added by container ID: c1/,
    ],
    [
      'place on the bridge',
      ({ node, veth }: Attached) => node.host.exec('ip', 'link', 'set', veth, 'nomaster'),
      /is no port of the bridge cni0/,
    ],
    [
      'link',
      ({ pod }: Attached) => pod.exec('ip', 'link', 'del', 'eth0'),
      /Interface eth0 is gone from the pod/,
    ],
    [
      'link that is up',
      ({ pod }: Attached) => pod.exec('ip', 'link', 'set', 'eth0', 'down'),
      /Interface eth0 in the pod is down/,
    ],
    [
      'MAC',
      ({ pod }: Attached) => pod.exec('ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:66'),
      /Interface eth0 Mac .* doesn't match container Mac: 02:00:00:00:00:66/,
    ],
    [
      'bridge',
      ({ node }: Attached) => node.host.exec('ip', 'link', 'del', 'cni0'),
      /Bridge interface cni0 is gone/,
    ],
    [
      'bridge that is up',
      ({ node }: Attached) => node.host.exec('ip', 'link', 'set', 'cni0', 'down'),
      /Bridge interface cni0 is down/,
    ],
    [
      'hairpin mode',
      ({ node, veth }: Attached) =>
        node.host.exec('ip', 'link', 'set', veth, 'type', 'bridge_slave', 'hairpin', 'off'),
      /has lost its hairpin mode/,
    ],
  ])('the %s', async (_, damage, why) => {
    const state = await attached();
    await damage(state);
    const { node, pod, prevResult } = state;
    const { code, msg } = await node.error('CHECK', pod, node.configuration({ prevResult }));
    expect(msg).toMatch(why);
    expect(code).toBe(101);
  });

  test('a bridge that is not promiscuous any more', async () => {
    const state = await attached({ hairpinMode: false, promiscMode: true });
    await check(state);
    await state.node.host.exec('ip', 'link', 'set', 'cni0', 'promisc', 'off');
    await expect(check(state)).rejects.toThrow(/is not promiscuous/);
  });

  test('a missing prevResult', async () => {
    const { node, pod } = await attached();
    expect(await node.error('CHECK', pod)).toMatchObject({ code: 7, msg: 'Required prevResult missing' });
  });

  test('an attachment that was never made, without making the directory of its network', async () => {
    const node = new TestNode();
    const prevResult = { cniVersion: '1.1.0', ips: [{ address: '10.244.1.2/24' }] };
    expect(await node.error('CHECK', node.pod(), node.configuration({ prevResult }))).toMatchObject({
      code: 101,
    });
    expect(fs.existsSync(node.networks)).toBe(false);
  });
});
