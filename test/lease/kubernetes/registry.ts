import { readFileSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { annotationKeys, defaultPrefix } from '../../../src/lease/kubernetes/annotations.ts';
import {
  KubernetesRegistry,
  type KubernetesRegistryOptions,
} from '../../../src/lease/kubernetes/kubernetes.ts';
import type { Registry } from '../../../src/lease/registry.ts';
import { type Clock, systemClock } from '../../../src/world/clock.ts';
import { Seen, suiteNetwork } from '../registry-suite.ts';
import { FakeApiServer } from './api-server.ts';

/** Registries at a made-up API server. */

export const keys = annotationKeys(defaultPrefix);

/** Short waits are shorter still. */
const quick: Clock = {
  ...systemClock,
  after: (ms, callback) => systemClock.after(ms < 5000 ? ms / 10 : ms, callback),
};

export async function started(server = new FakeApiServer()): Promise<FakeApiServer> {
  await server.start();
  onTestFinished(() => server.stop());
  return server;
}

export function registry(
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
export async function watched(server: FakeApiServer, by: Registry = registry(server, 'me')): Promise<Seen> {
  const seen = new Seen();
  onTestFinished(by.watch(seen));
  await seen.until(() => server.watching > 0);
  return seen;
}
