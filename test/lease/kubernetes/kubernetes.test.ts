import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/world/clock.ts';
import { Authority } from '../../kit/certificates.ts';
import { acquire, type RegistryKit, registrySuite } from '../registry-suite.ts';
import { FakeApiServer } from './api-server.ts';
import { keys, registry, started } from './registry.ts';

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
