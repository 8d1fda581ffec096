import fc from 'fast-check';
import { test } from 'vitest';
import { annotationKeys, defaultPrefix } from '../../../src/lease/kubernetes/annotations.ts';
import { KubernetesRegistry } from '../../../src/lease/kubernetes/kubernetes.ts';
import { systemClock } from '../../../src/world/clock.ts';
import { Seen, suiteNetwork } from '../registry-suite.ts';
import { FakeApiServer, refuse } from './api-server.ts';

const keys = annotationKeys(defaultPrefix);
const annotations = (host: number) => ({
  [keys.managed]: 'true',
  [keys.backendType]: 'vxlan',
  [keys.publicIP]: `192.0.2.${host}`,
});

type Step = (server: FakeApiServer) => void | Promise<void>;

const name = fc.constantFrom('a', 'b', 'c', 'd');
const host = fc.integer({ min: 1, max: 250 });
const set: fc.Arbitrary<[string, Step]> = fc.tuple(name, host).map(([node, number]) => [
  `${node} is at ${number}`,
  (server) => {
    if (!server.nodes.has(node)) server.addNode(node, ['10.244.1.0/24'], annotations(number));
    else server.change(node, ({ metadata }) => Object.assign(metadata.annotations, annotations(number)));
  },
]);
const remove: fc.Arbitrary<[string, Step]> = name.map((node) => [
  `${node} is removed`,
  (server) => {
    if (server.nodes.has(node)) server.removeNode(node);
  },
]);
const leave: fc.Arbitrary<[string, Step]> = name.map((node) => [
  `${node} has no lease`,
  (server) => {
    if (server.nodes.has(node)) server.change(node, ({ metadata }) => (metadata.annotations = {}));
  },
]);
const upsets: Record<string, Step> = {
  'connections are cut': (server) => server.reset(),
  'watches end': (server) => server.endWatches(),
  'the past is forgotten': (server) => server.compact(),
  'there is a bookmark': (server) => server.bookmark(),
  'garbage is sent': (server) => server.send('{"type":"ADDED","object":{"metadata":{"name":"z"}}}}\n'),
  'the server is away for a moment': async (server) => {
    await server.stop();
    await server.start();
  },
  'half of the requests fail': (server) => {
    let number = 0;
    server.trouble = (_request, response) => {
      const fails = number++ % 2 === 0;
      if (fails) refuse(response, 500, 'etcd has no leader');
      return fails;
    };
  },
};
const pause = fc.constant<[string, Step]>([
  'some time passes',
  () =>
    new Promise((resolve) => {
      setTimeout(resolve, 20);
    }),
]);
const upset: fc.Arbitrary<[string, Step]> = fc
  .constantFrom(...Object.keys(upsets))
  .map((what) => [what, upsets[what] as Step]);

test('whatever happens on the way, what was told in the end is what is there', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(set, set, remove, leave, upset, upset, pause), { minLength: 4, maxLength: 16 }),
      async (steps) => {
        const server = new FakeApiServer();
        await server.start();
        const seen = new Seen();
        const stop = registry(server).watch(seen);
        try {
          for (const [, step] of steps) await step(server);
          server.trouble = undefined;
          await seen.until(() => seen.staleSince === undefined && told(seen) === there(server));
        } finally {
          stop();
          await server.stop();
        }
      },
    ),
    { numRuns: 15 },
  );
});

const text = (entries: Iterable<readonly [string, unknown]>): string =>
  JSON.stringify([...entries].toSorted(([a], [b]) => (a < b ? -1 : 1)));

const told = (seen: Seen): string =>
  text([...seen.entries.keys()].map((id) => [id, seen.lease(id)?.attributes.publicIP]));

const there = (server: FakeApiServer): string =>
  text(
    [...server.nodes].flatMap(([id, { metadata }]) => {
      const publicIP = metadata.annotations[keys.publicIP];
      return publicIP === undefined ? [] : [[id, publicIP] as const];
    }),
  );

function registry(server: FakeApiServer): KubernetesRegistry {
  return new KubernetesRegistry({
    access: { server: server.url, tls: {} },
    annotations: keys,
    node: 'me',
    network: suiteNetwork,
    setNetworkUnavailable: true,
    readFile: () => '',
    clock: {
      ...systemClock,
      after: (ms, callback) => systemClock.after(ms < 40_000 ? ms / 20 : ms, callback),
    },
    random: (bytes) => new Uint8Array(bytes).fill(128),
  });
}
