import { describe, expect, test } from 'vitest';
import type { LeaseAttributes } from '../../../src/lease/lease.ts';
import { address } from '../../../src/net/address.ts';
import { prefix } from '../../../src/net/prefix.ts';
import { systemClock } from '../../../src/world/clock.ts';
import { acquire, suiteNetwork } from '../registry-suite.ts';
import { type FakeApiServer, refuse } from './api-server.ts';
import { keys, registry, started, watched } from './registry.ts';

const vxlan: LeaseAttributes = {
  publicIP: address('192.0.2.1'),
  backendType: 'vxlan',
  backendData: { VNI: 1, VtepMAC: '12:c6:65:89:b4:e3' },
};

describe('the Kubernetes API', () => {
  describe('taking a lease', () => {
    test('writes what Go flannel writes, once', async () => {
      const server = await started();
      server.addNode('a', ['10.244.7.0/24']);
      const network = { ipv4: prefix('10.244.0.0/16') };
      const a = registry(server, 'a', { network });
      const lease = await a.acquire({ attributes: vxlan, network, previous: {} });
      expect(lease).toEqual({ id: 'a', subnet: '10.244.7.0/24', attributes: vxlan });
      await a.acquire({ attributes: vxlan, network, previous: {} });
      expect(server.bodies).toEqual([
        '{"metadata":{"annotations":{"flannel.alpha.coreos.com/backend-data":' +
          '"{\\"VNI\\":1,\\"VtepMAC\\":\\"12:c6:65:89:b4:e3\\"}","flannel.alpha.coreos.com/backend-type":"vxlan",' +
          '"flannel.alpha.coreos.com/kube-subnet-manager":"true","flannel.alpha.coreos.com/public-ip":"192.0.2.1"}}}',
      ]);
      expect(server.requests[1]).toBe('PATCH /api/v1/nodes/a/status');
    });

    test('writes only what differs', async () => {
      const server = await started();
      server.addNode('a');
      const a = registry(server, 'a');
      await acquire(a, 1);
      await acquire(a, 2);
      expect(JSON.parse(server.bodies[1] ?? '')).toEqual({
        metadata: { annotations: { [keys.publicIP]: '192.0.2.2', [keys.publicIPv6]: '2001:db8::2' } },
      });
    });

    test('tells a change of one family in two patches, which it does not take for somebody else’s', async () => {
      const server = await started();
      server.addNode('a');
      const a = registry(server, 'a');
      const { attributes } = await acquire(a, 1);
      const seen = await watched(server, a);
      const publicIP = address('192.0.2.77');
      const wish = { attributes: { ...attributes, publicIP }, network: suiteNetwork, previous: {} };
      expect(await a.acquire(wish)).toMatchObject({ attributes: { ...attributes, publicIP } });
      await seen.until(() => seen.lease('a')?.attributes.publicIP === publicIP);
      const change = (text = '') =>
        (JSON.parse(text) as { metadata: { annotations: object } }).metadata.annotations;
      const data = '{"VNI":1,"VtepMAC":"12:c6:65:89:b4:e4"}';
      await a.acquire(wish);
      expect(server.bodies.slice(1).map(change)).toEqual([
        { [keys.publicIP]: publicIP, [keys.backendV6Data]: `${data} ` },
        { [keys.backendV6Data]: data },
      ]);
    });

    test('tells the address that an administrator has put in the place of its own', async () => {
      const server = await started();
      const overwritten = { [keys.publicIPOverwrite]: '198.51.100.1', [keys.publicIPv6Overwrite]: '' };
      server.addNode('a', undefined, overwritten);
      const { attributes } = await acquire(registry(server, 'a'), 1);
      expect(attributes).toMatchObject({ publicIP: '198.51.100.1', publicIPv6: '2001:db8::1' });
    });

    test.each([
      [
        'has no Node',
        undefined,
        'there is no Node "a": kubelet makes it; is that its name (--node-name)?',
        false,
      ],
      ['has no podCIDR', [], '--allocate-node-cidrs and --cluster-cidr=10.244.0.0/16,fd00:244::/56', false],
      ['lacks a family', ['10.244.1.0/24'], 'no IPv6 podCIDR (only 10.244.1.0/24)', false],
      [
        'is elsewhere',
        ['10.9.1.0/24', 'fd00:244:0:1::/64'],
        'podCIDR 10.9.1.0/24, which is outside of',
        true,
      ],
      ['has nonsense', ['10.244.1/24'], 'its podCIDR "10.244.1/24" is no address', false],
      ['has three', ['10.1.0.0/24', '10.2.0.0/24', '10.3.0.0/24'], 'it has 3 podCIDRs', false],
    ])('says what it waits for when it %s, and writes nothing', async (_what, podCIDRs, why, permanent) => {
      const server = await started();
      if (podCIDRs !== undefined) server.addNode('a', podCIDRs);
      const asked = acquire(registry(server, 'a'), 1);
      await expect(asked).rejects.toMatchObject({ permanent, message: expect.stringContaining(why) });
      expect(server.bodies).toEqual([]);
    });

    test('names the right that is missing', async () => {
      const server = await started();
      server.addNode('a');
      server.trouble = ({ method }, response) => {
        if (method === 'PATCH') refuse(response, 403, 'nodes "a" is forbidden: no\u001b[2J way');
        return method === 'PATCH';
      };
      await expect(acquire(registry(server, 'a'), 1)).rejects.toThrow(
        'PATCH /api/v1/nodes/a/status: 403: nodes "a" is forbidden: no [2J way; ' +
          'flanneld\'s ClusterRole must allow "patch" on "nodes/status"',
      );
    });

    test('knows which addresses an administrator wants, now and later', async () => {
      const server = await started();
      server.addNode('a', undefined, { [keys.nodePublicIP]: '198.51.100.1' });
      const told: unknown[] = [];
      const a = registry(server, 'a', { onPublicAddresses: () => told.push(a.publicAddresses) });
      await a.own();
      await a.own();
      const seen = await watched(server, a);
      server.change('a', ({ metadata }) => (metadata.annotations[keys.nodePublicIPv6] = '2001:db8::7'));
      await seen.until(() => told.length === 2);
      expect(told).toEqual([
        { publicIP: '198.51.100.1' },
        { publicIP: '198.51.100.1', publicIPv6: '2001:db8::7' },
      ]);
      server.change('a', ({ metadata }) => (metadata.annotations[keys.nodePublicIP] = 'eth0'));
      await expect(acquire(a, 1)).rejects.toThrow(
        `its annotation ${keys.nodePublicIP}, "eth0", is no IPv4 address`,
      );
    });

    test('does not take a lease with an address that an administrator has replaced', async () => {
      const server = await started();
      server.addNode('a', undefined, { [keys.nodePublicIP]: '198.51.100.1' });
      const a = registry(server, 'a');
      await expect(acquire(a, 1)).rejects.toThrow('was annotated with another public address');
      expect(server.bodies).toEqual([]);
      expect(a.publicAddresses).toEqual({ publicIP: '198.51.100.1' });
      expect(await acquire(a, 1)).toMatchObject({ id: 'a' });
    });

    test('gives a silent server ten seconds', async () => {
      const server = await started();
      server.trouble = () => true;
      const clock = {
        ...systemClock,
        after: (ms: number, callback: () => void) => systemClock.after(ms === 10_000 ? 100 : ms, callback),
      };
      await expect(registry(server, 'a', { clock }).own()).rejects.toThrow('no answer came within 10 s');
    });

    test('finds its Node by its pod', async () => {
      const server = await started();
      server.addNode('a');
      const node = { namespace: 'kube-flannel', pod: 'ds-x' };
      await expect(acquire(registry(server, node), 1)).rejects.toThrow('there is no pod kube-flannel/ds-x');
      server.pods.set('kube-flannel/ds-x', 'a');
      expect(await acquire(registry(server, node), 1)).toMatchObject({ id: 'a' });
    });

    test('of several wishes at once the last one stays', async () => {
      const server = await started();
      server.addNode('a');
      const a = registry(server, 'a');
      await Promise.all([acquire(a, 1), acquire(a, 2), acquire(a, 3)]);
      expect(server.nodes.get('a')?.metadata.annotations).toMatchObject({ [keys.publicIP]: '192.0.2.3' });
    });
  });

  describe('keeping it', () => {
    test.each([
      [
        'removed',
        (server: FakeApiServer) => server.change('a', ({ metadata }) => (metadata.annotations = {})),
      ],
      [
        'gone with the Node, which is made anew',
        (server: FakeApiServer) => {
          server.removeNode('a');
          server.addNode('a', ['10.244.1.0/24', 'fd00:244:0:1::/64']);
        },
      ],
    ])('writes its annotations again when they are %s', async (_what, spoil) => {
      const server = await started();
      server.addNode('a');
      const a = registry(server, 'a');
      const lease = await acquire(a, 1);
      const seen = await watched(server, a);
      spoil(server);
      await seen.until(() => server.nodes.get('a')?.metadata.annotations[keys.publicIP] === '192.0.2.1');
      await seen.until(() => seen.lease('a') !== undefined);
      expect(seen.lease('a')).toEqual(lease);
    });

    test('tells a Node that was made anew that its network is up, and an old one no second time', async () => {
      const server = await started();
      server.addNode('a');
      const a = registry(server, 'a');
      await acquire(a, 1);
      const seen = await watched(server, a);
      await a.complete();
      const conditions = () => server.nodes.get('a')?.status.conditions;
      server.change('a', ({ metadata }) => (metadata.annotations = {}));
      await seen.until(() => server.nodes.get('a')?.metadata.annotations[keys.publicIP] === '192.0.2.1');
      expect(conditions()).toHaveLength(1);
      server.removeNode('a');
      server.addNode('a', ['10.244.1.0/24', 'fd00:244:0:1::/64']);
      await seen.until(() => conditions()?.length === 1);
      expect(conditions()).toEqual([expect.objectContaining({ reason: 'FlannelIsUp' })]);
    });

    test('follows an address that an administrator puts in its place later', async () => {
      const server = await started();
      server.addNode('a');
      const a = registry(server, 'a');
      await acquire(a, 1);
      const seen = await watched(server, a);
      server.change('a', ({ metadata }) => (metadata.annotations[keys.publicIPOverwrite] = '198.51.100.1'));
      await seen.until(() => seen.lease('a')?.attributes.publicIP === '198.51.100.1');
    });
  });
});
