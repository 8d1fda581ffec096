import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';
import { annotationKeys, defaultPrefix } from '../../../src/lease/kubernetes/annotations.ts';
import {
  KubernetesRegistry,
  type KubernetesRegistryOptions,
} from '../../../src/lease/kubernetes/kubernetes.ts';
import type { LeaseAttributes } from '../../../src/lease/lease.ts';
import type { Registry } from '../../../src/lease/registry.ts';
import { address } from '../../../src/net/address.ts';
import { prefix } from '../../../src/net/prefix.ts';
import { type Clock, systemClock } from '../../../src/world/clock.ts';
import { Authority } from '../../kit/certificates.ts';
import { acquire, type RegistryKit, registrySuite, Seen, suiteNetwork } from '../registry-suite.ts';
import { FakeApiServer, refuse } from './api-server.ts';

const keys = annotationKeys(defaultPrefix);

describe('the Kubernetes API', () => {
  registrySuite(async (): Promise<RegistryKit> => {
    const server = await started();
    return {
      node(name) {
        if (!server.nodes.has(name)) server.addNode(name);
        return registry(server, name);
      },
      spoil(name) {
        server.addNode(name, undefined, { [keys.managed]: 'true', [keys.publicIP]: 'junk' });
        return name;
      },
      remove: (name) => server.removeNode(name),
      away: () => server.stop(),
      back: () => server.start(),
    };
  });

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

    test('of two wishes the later one stays', async () => {
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

  describe('watching', () => {
    test('lists page by page, and takes 1,000 Nodes', async () => {
      const server = await started();
      for (let i = 0; i < 1000; i++)
        server.addNode(`n${i}`, [`10.244.${i % 256}.0/24`], i % 2 ? {} : ofLease(i));
      const seen = await watched(server);
      expect(seen.entries.size).toBe(500);
      expect(server.requests.filter((each) => each.includes('limit=100'))).toHaveLength(10);
    });

    test('tells of a Node only what concerns flannel', async () => {
      const server = await started();
      server.addNode('a', undefined, ofLease(1));
      const seen = await watched(server);
      server.change('a', ({ status }) => status.conditions.push('heartbeat'));
      server.change('a', ({ metadata }) => (metadata.annotations[keys.publicIP] = '192.0.2.7'));
      await seen.until(() => seen.lease('a')?.attributes.publicIP === '192.0.2.7');
      expect(seen.calls).toEqual(['all', 'changed a']);
      server.change('a', ({ metadata }) => delete metadata.annotations[keys.managed]);
      await seen.until(() => !seen.entries.has('a'));
      expect(seen.calls).toEqual(['all', 'changed a', 'gone a']);
    });

    test.each([
      ['IPv4 address', { [keys.publicIP]: '192.0.2.9' }],
      ['IPv6 address', { [keys.publicIPv6]: '2001:db8::9' }],
      ['IPv4 device', { [keys.backendData]: '{"VNI":1,"VtepMAC":"02:00:00:00:00:99"}' }],
      ['IPv6 device', { [keys.backendV6Data]: '{"VNI":1,"VtepMAC":"02:00:00:00:00:99"}' }],
    ])('tells when a node has another %s, and all else is as it was', async (_what, annotations) => {
      const server = await started();
      const both = { [keys.publicIPv6]: '2001:db8::1', [keys.backendV6Data]: ofLease(1)[keys.backendData] };
      server.addNode('a', undefined, { ...ofLease(1), ...both });
      const seen = await watched(server);
      const before = JSON.stringify(seen.lease('a'));
      server.change('a', ({ metadata }) => Object.assign(metadata.annotations, annotations));
      await seen.until(() => JSON.stringify(seen.lease('a')) !== before);
      expect(seen.calls).toEqual(['all', 'changed a']);
    });

    test('tells of other podCIDRs, when a Node was removed and made anew between two words of it', async () => {
      const server = await started();
      const node = server.addNode('a', ['10.244.1.0/24'], ofLease(1));
      const seen = await watched(server);
      server.change('a', ({ metadata, spec }) => {
        metadata.uid = 'another';
        Object.assign(spec, { podCIDR: '10.244.9.0/24', podCIDRs: ['10.244.9.0/24'] });
      });
      await seen.until(() => seen.lease('a')?.subnet === '10.244.9.0/24');
      expect([seen.calls, node.metadata.uid]).toEqual([['all', 'changed a'], 'another']);
    });

    test('goes on where it was when the connection ends, and lists again when the server has forgotten that place', async () => {
      const server = await started();
      server.addNode('a', undefined, ofLease(1));
      const seen = await watched(server);
      server.reset();
      server.addNode('b', undefined, ofLease(2));
      await seen.until(() => seen.lease('b') !== undefined);
      expect(seen.calls.filter((each) => each === 'all')).toHaveLength(1);
      await seen.until(() => server.watching === 1);
      server.endWatches();
      server.removeNode('b');
      server.addNode('c', undefined, ofLease(3));
      server.compact();
      await seen.until(() => seen.lease('c') !== undefined);
      expect(seen.entries.has('b')).toBe(false);
      expect(seen.calls.filter((each) => each === 'all')).toHaveLength(2);
    });

    test('takes a bookmark as its place', async () => {
      const server = await started();
      const seen = await watched(server);
      for (let i = 0; i < 5; i++) server.addNode(`n${i}`);
      server.bookmark();
      server.compact();
      server.addNode('b', undefined, ofLease(2));
      await seen.until(() => seen.lease('b') !== undefined);
      server.reset();
      server.addNode('c', undefined, ofLease(3));
      await seen.until(() => seen.lease('c') !== undefined);
      expect(seen.calls.filter((each) => each === 'all')).toHaveLength(1);
    });

    test.each([
      ['an error', '{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}\n'],
      ['garbage', '<html>no</html>'],
      ['half an event', '{"type":"ADDED","object":{"metadata":{"name":"z"'],
    ])('lists again after %s', async (_what, text) => {
      const server = await started();
      server.addNode('a', undefined, ofLease(1));
      const seen = await watched(server);
      server.send(text);
      server.endWatches();
      await seen.until(() => seen.calls.filter((each) => each === 'all').length === 2);
      expect(seen.staleSince).toBeUndefined();
      server.addNode('b', undefined, ofLease(2));
      await seen.until(() => seen.lease('b') !== undefined);
    });

    test('passes over events that it does not know', async () => {
      const server = await started();
      const seen = await watched(server);
      server.send('{"type":"NOVELTY","object":{}}\n{"type":"ADDED","object":{"metadata":{}}}\n');
      server.send('{"type":"ADDED","object":{"metadata":{"name":"\\u001b[2J"}}}\n');
      server.addNode('b', undefined, ofLease(2));
      await seen.until(() => seen.lease('b') !== undefined);
      expect(seen.calls).toEqual(['all', 'changed b']);
    });

    test('says why it is stale: no right, a wrong token, no Kubernetes', async () => {
      const server = await started();
      const seen = new Seen();
      server.trouble = (_request, response) => (refuse(response, 403, 'nodes is forbidden'), true);
      onTestFinished(registry(server, 'me').watch(seen));
      await seen.until(() => seen.why?.includes('ClusterRole must allow "list" on "nodes"') === true);
      server.trouble = (_request, response) => (response.end('<html>'), true);
      await seen.until(() => seen.why?.includes('what answers there is no Kubernetes API') === true);
      server.trouble = undefined;
      server.tokens = new Set(['right']);
      await seen.until(() => seen.why?.includes('does not accept the token') === true);
      server.tokens.add('first');
      await seen.until(() => seen.staleSince === undefined);
    });

    test.each([
      ['says nothing', () => {}, 'no answer came within 30 s'],
      [
        'falls silent in the middle',
        (response: ServerResponse) => void response.write('{"kind":"NodeList","items":[{"metadata":'),
        'it fell silent within 30 s',
      ],
      [
        'ends the connection in the middle',
        (response: ServerResponse) =>
          void response.write('{"items":[', () => response.socket?.resetAndDestroy()),
        'the server ended the connection',
      ],
      [
        'ends too early',
        (response: ServerResponse) => void response.end('{"items":[{}'),
        'the answer ends in the middle',
      ],
      ['answers nothing at all', (response: ServerResponse) => void response.end(), 'it lists no Nodes'],
      ['answers something else', (response: ServerResponse) => void response.end('{}'), 'it lists no Nodes'],
      [
        'answers a refusal as if it were none',
        (response: ServerResponse) =>
          void response.end('{"kind":"Status","metadata":{},"message":"not now","code":500}'),
        'it lists no Nodes',
      ],
      [
        'has its own errors',
        (response: ServerResponse) => refuse(response, 503, 'etcd is away'),
        '503: etcd is away',
      ],
      [
        'forgets its own pages',
        (response: ServerResponse) => refuse(response, 410, 'expired'),
        '410: expired',
      ],
    ])('a server that %s is away, and nothing is told until it answers', async (_what, misbehave, why) => {
      const server = await started();
      server.addNode('a', undefined, ofLease(1));
      server.trouble = (_request, response) => (misbehave(response), true);
      const seen = new Seen();
      const clock = {
        ...systemClock,
        after: (ms: number, callback: () => void) => systemClock.after(ms / 100, callback),
      };
      onTestFinished(registry(server, 'me', { clock }).watch(seen));
      await seen.until(() => seen.why?.includes(why) === true);
      expect(seen.calls).toEqual([]);
      server.trouble = undefined;
      await seen.until(() => seen.lease('a') !== undefined && seen.staleSince === undefined);
    });

    test('a list without an end fills no memory', async () => {
      const server = await started();
      const item = '{"metadata":{"name":"a"}},';
      let sent = 0;
      server.trouble = (_request, response) => {
        const more = () => {
          sent += 10_000;
          if (!response.destroyed) response.write(item.repeat(10_000), () => setImmediate(more));
        };
        response.write('{"items":[');
        more();
        return true;
      };
      const seen = new Seen();
      onTestFinished(registry(server, 'me').watch(seen));
      await seen.until(() => seen.why?.includes('it lists more than 100000 Nodes') === true);
      expect(sent).toBeLessThan(1_000_000);
    });

    test('10,000 entries of junk are named and hurt nobody', async () => {
      const server = await started();
      const junk = [
        { [keys.publicIP]: '999.1.1.1' },
        { [keys.publicIP]: 'x'.repeat(1000) },
        { [keys.backendData]: '{"VNI":' },
        { [keys.backendData]: '['.repeat(1000) },
        { [keys.backendType]: 7 },
      ];
      for (let i = 0; i < 10_000; i++) {
        const podCIDRs = i % 7 === 0 ? ['no'] : [`10.244.${i % 256}.0/24`];
        server.addNode(`j${i}`, podCIDRs, { [keys.managed]: 'true', ...junk[i % junk.length] });
      }
      server.addNode('a', ['10.244.1.0/24', 'fd00:244:0:1::/64'], ofLease(1));
      const seen = await watched(server);
      expect(seen.lease('a')).toBeDefined();
      expect(seen.entries.size).toBe(10_001);
      const reasons = [...seen.entries.values()].flatMap((each) =>
        'unreadable' in each ? [each.unreadable] : [],
      );
      expect(Math.max(...reasons.map(({ length }) => length))).toBeLessThan(300);
    });
  });

  test('tells the cluster that the network is up, if it wants to hear that', async () => {
    const server = await started();
    server.addNode('a');
    const clock = { ...systemClock, now: () => Date.UTC(2026, 10, 27, 22, 1, 2, 345) };
    await registry(server, 'a', { setNetworkUnavailable: false }).complete();
    expect(server.bodies).toEqual([]);
    await registry(server, 'a', { clock }).complete();
    expect(server.bodies).toEqual([
      '{"status":{"conditions":[{"type":"NetworkUnavailable","status":"False",' +
        '"lastHeartbeatTime":"2026-11-27T22:01:02Z","lastTransitionTime":"2026-11-27T22:01:02Z",' +
        '"reason":"FlannelIsUp","message":"Flannel is running on this node"}]}}',
    ]);
  });

  test('comes with the token that is in its file now, over TLS', async () => {
    const authority = new Authority('cluster');
    const server = await started(new FakeApiServer(authority.issue('api', { names: ['127.0.0.1'] })));
    server.addNode('a');
    server.tokens = new Set(['one']);
    let token = 'one\n';
    const a = registry(server, 'a', {
      access: { server: server.url, tls: { ca: { text: authority.cert } }, token: { file: '/token' } },
      readFile: (file) => (file === '/token' ? token : readFileSync(file, 'utf8')),
    });
    await acquire(a, 1);
    server.tokens = new Set(['two']);
    await expect(acquire(a, 2)).rejects.toThrow(
      '401: Unauthorized; the API server does not accept the token',
    );
    token = 'two';
    await acquire(a, 2);
    token = 'not\na token';
    await expect(acquire(a, 2)).rejects.toThrow('/token holds no token for the API server');
  });
});

const vxlan: LeaseAttributes = {
  publicIP: address('192.0.2.1'),
  backendType: 'vxlan',
  backendData: { VNI: 1, VtepMAC: '12:c6:65:89:b4:e3' },
};

/** Short waits are shorter still. */
const quick: Clock = {
  ...systemClock,
  after: (ms, callback) => systemClock.after(ms < 5000 ? ms / 10 : ms, callback),
};

/** The annotations of another node's lease. */
const ofLease = (number: number): Record<string, string> => ({
  [keys.managed]: 'true',
  [keys.backendType]: 'vxlan',
  [keys.backendData]: '{"VNI":1,"VtepMAC":"12:c6:65:89:b4:e3"}',
  [keys.publicIP]: `192.0.${2 + Math.floor(number / 250)}.${number % 250}`,
});

async function started(server = new FakeApiServer()): Promise<FakeApiServer> {
  await server.start();
  onTestFinished(() => server.stop());
  return server;
}

function registry(
  server: FakeApiServer,
  node: KubernetesRegistryOptions['node'],
  options: Partial<KubernetesRegistryOptions> = {},
): KubernetesRegistry {
  return new KubernetesRegistry({
    access: { server: server.url, tls: {}, token: { text: 'first' } },
    annotations: keys,
    node,
    network: suiteNetwork,
    setNetworkUnavailable: true,
    readFile: (file) => readFileSync(file, 'utf8'),
    clock: quick,
    random: (bytes) => new Uint8Array(bytes).fill(128),
    ...options,
  });
}

/** What one who watches has seen; the watch has begun. */
async function watched(server: FakeApiServer, by: Registry = registry(server, 'me')): Promise<Seen> {
  const seen = new Seen();
  onTestFinished(by.watch(seen));
  await seen.until(() => server.watching > 0);
  return seen;
}
