// `memory-probe.ts URL`: lists and follows the Nodes there, and prints what they take of the heap, in bytes. Needs --expose-gc.
import { annotationKeys, defaultPrefix } from '../../../src/lease/kubernetes/annotations.ts';
import { KubernetesRegistry } from '../../../src/lease/kubernetes/kubernetes.ts';
import type { Entry } from '../../../src/lease/registry.ts';
import { prefix } from '../../../src/net/prefix.ts';
import { sleep, systemClock } from '../../../src/world/clock.ts';
import { systemRandom } from '../../../src/world/random.ts';

const registry = new KubernetesRegistry({
  access: { server: process.argv[2] ?? '', tls: {} },
  annotations: annotationKeys(defaultPrefix),
  node: 'node-0',
  network: { ipv4: prefix('10.0.0.0/8') },
  setNetworkUnavailable: false,
  readFile: () => '',
  clock: systemClock,
  random: systemRandom,
});

// Once around, so that all code and all buffers are there before it is measured.
const first = await follow();
first.stop();
first.entries.clear();
const before = await heap();
const { entries } = await follow();
process.stdout.write(`${JSON.stringify({ nodes: entries.size, bytes: (await heap()) - before })}\n`);
process.exit(0);

/** As the daemon does: all leases are kept, and a hundred changes followed. */
async function follow(): Promise<{ entries: Map<string, Entry>; stop: () => void }> {
  const entries = new Map<string, Entry>();
  const changes = { count: 0 };
  const stop = registry.watch({
    all(all) {
      for (const [id, entry] of all) entries.set(id, entry);
    },
    changed(id, entry) {
      entries.set(id, entry);
      changes.count++;
    },
    gone: (id) => entries.delete(id),
    stale() {},
  });
  while (changes.count < 100) await sleep(systemClock, 20);
  return { entries, stop };
}

async function heap(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await sleep(systemClock, 20);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
