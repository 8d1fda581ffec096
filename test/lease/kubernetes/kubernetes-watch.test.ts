import type { ServerResponse } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/world/clock.ts';
import { Seen } from '../registry-suite.ts';
import { refuse } from './api-server.ts';
import { keys, registry, started, watched } from './registry.ts';

/** The annotations of another node's lease. */
const ofLease = (number: number): Record<string, string> => ({
  [keys.managed]: 'true',
  [keys.backendType]: 'vxlan',
  [keys.backendData]: '{"VNI":1,"VtepMAC":"12:c6:65:89:b4:e3"}',
  [keys.publicIP]: `192.0.${2 + Math.floor(number / 250)}.${number % 250}`,
});

describe('the Kubernetes API', () => {
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
      server.addNode('a', ['10.244.1.0/24'], ofLease(1));
      const seen = await watched(server);
      server.change('a', ({ metadata, spec }) => {
        metadata.uid = 'another';
        Object.assign(spec, { podCIDR: '10.244.9.0/24', podCIDRs: ['10.244.9.0/24'] });
      });
      await seen.until(() => seen.lease('a')?.subnet === '10.244.9.0/24');
      expect(seen.calls).toEqual(['all', 'changed a']);
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
      server.addNode('a', undefined, ofLease(1));
      server.bookmark();
      server.compact();
      server.endWatches();
      server.addNode('b', undefined, ofLease(2));
      await seen.until(() => seen.lease('b') !== undefined);
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
});
