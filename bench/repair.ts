import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../e2e/lab/command.ts';
import { Daemon, daemonFiles } from './daemon.ts';
import { createNamespaces, ip, pathOf, uplink } from './namespaces.ts';
import { type Kind, NetworkView } from './network-view.ts';
import { writePeer } from './peers.ts';
import { memoryDirectory } from './directory.ts';
import { heading, keep, ms, table, verdict } from './report.ts';
import { quantile } from './statistics.ts';
import { wantedRepairMs } from './targets.ts';

const peers = 20;

const damages: readonly { readonly title: string; readonly kind: Kind | 'down' }[] = [
  { title: 'a route deleted', kind: 'route' },
  { title: 'a neighbour deleted', kind: 'neighbour' },
  { title: 'an FDB entry deleted', kind: 'FDB entry' },
  { title: 'an address deleted', kind: 'address' },
  { title: 'the device deleted', kind: 'link' },
  { title: 'the device set down', kind: 'down' },
];

/** Damage of each kind, and the time until everything is as it was before, with all peers. */
export async function benchRepair(isQuick: boolean): Promise<void> {
  const count = isQuick ? 20 : 100;
  heading(
    `Somebody changes the kernel: until all is back, with ${peers} dual-stack peers, ${count} times each`,
  );
  const directory = memoryDirectory();
  const [host = ''] = await createNamespaces(['repair']);
  await ip(uplink, host);
  const files = daemonFiles(directory);
  mkdirSync(files.leases);
  writeFileSync(files.netConfig, JSON.stringify(netConfig));
  for (let i = 1; i <= peers; i++) writePeer(files, i);
  const daemon = Daemon.start(pathOf(host), files);
  const view = new NetworkView(pathOf(host));
  try {
    await daemon.ready(files);
    await until('all peers', 10, async () => view.read().size >= peers * 6);
    const samples = new Map<string, number[]>();
    for (const { title, kind } of damages) samples.set(title, await damage(view, kind, count));
    print(samples);
    console.log(`\nThe figures: ${keep('repair', Object.fromEntries(samples))}`);
  } finally {
    view.close();
    await daemon.stop();
  }
}

async function damage(view: NetworkView, kind: Kind | 'down', count: number): Promise<number[]> {
  const samples: number[] = [];
  for (let i = 0; i < count; i++) {
    const before = view.read();
    const candidates = [...before.entries()].filter(([text, found]) =>
      kind === 'down' ? text.startsWith('link') : found.kind === kind,
    );
    const [text, found] = candidates[i % candidates.length] ?? [];
    if (text === undefined || found === undefined) throw new Error(`there is no ${kind} to damage`);
    const start = performance.now();
    if (kind === 'down') view.setDown(text.split(' ')[1] ?? '');
    else view.do(found.removal);
    await repaired(view, [...before.keys()], text);
    samples.push(performance.now() - start);
    await sleep(20);
  }
  return samples;
}

/** Looks every millisecond until everything that was there before is there again. */
async function repaired(view: NetworkView, before: readonly string[], what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const now = view.read();
    const missing = before.filter((text) => !now.has(text));
    if (missing.length === 0) return;
    if (performance.now() > deadline) {
      throw new Error(
        `${what} was damaged; after 10 s ${missing.length} are missing: ${missing.slice(0, 3).join(', ')}`,
      );
    }
    await sleep(1);
  }
}

function print(samples: ReadonlyMap<string, readonly number[]>): void {
  const rows = [...samples].map(([title, times]) => {
    const p99 = quantile(times, 0.99);
    const figures = [quantile(times, 0.5), p99, Math.max(...times)].map(ms);
    return [title, ...figures, `${wantedRepairMs}`, verdict(p99 < wantedRepairMs)];
  });
  table(['', 'p50 ms', 'p99 ms', 'longest', 'wanted p99', ''], rows);
}

const netConfig = {
  Network: '10.0.0.0/8',
  SubnetLen: 24,
  EnableIPv6: true,
  IPv6Network: 'fd00:244::/48',
  IPv6SubnetLen: 64,
  Backend: { Type: 'vxlan' },
};
