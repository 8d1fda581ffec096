import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../e2e/lab/command.ts';
import { candidates } from './candidate.ts';
import { Daemon, daemonFiles } from './daemon.ts';
import { memoryDirectory } from './directory.ts';
import { Host } from './host.ts';
import { createNamespaces, ip, pathOf, removeNamespaces, uplink } from './namespaces.ts';
import { NetworkView } from './network-view.ts';
import { peerMac, writePeer } from './peers.ts';
import { heading, keep, table, verdict } from './report.ts';
import { wantedGrowthMB, wantedIdle } from './targets.ts';

const peers = 1000;
/** So many at a time: as a cluster that is upgraded, not as one that is attacked. */
const changesAtOnce = 50;
const addsAtOnce = 16;

/** What flanneld costs while nothing happens, and whether its memory grows with what has happened. */
export async function benchEndurance(isQuick: boolean): Promise<void> {
  const times = isQuick ? 1000 : 10_000;
  heading(
    `flanneld at rest with ${peers} peers, and its memory after ${times} changes of peers and ${times} pods`,
  );
  const directory = memoryDirectory();
  const rest = await measurePeers(directory, times);
  const pods = await measurePods(directory, times);
  table(
    ['', 'measured', 'wanted', ''],
    [
      [
        'CPU ms in 10 s at rest',
        rest.idleCpuMs.toFixed(1),
        `< ${wantedIdle.cpuMs}`,
        verdict(rest.idleCpuMs < wantedIdle.cpuMs),
      ],
      growth(`anonymous memory after ${times} changes, MB`, rest.before, rest.after),
      growth(`anonymous memory after ${times} pods, MB`, pods.before, pods.after),
    ],
  );
  console.log(`\nThe figures: ${keep('endurance', { rest, pods })}`);
}

function growth(what: string, before: number, after: number): string[] {
  const grown = after - before;
  return [
    what,
    `${before.toFixed(1)} -> ${after.toFixed(1)}`,
    `+ ${wantedGrowthMB} at most`,
    verdict(grown <= wantedGrowthMB),
  ];
}

async function measurePeers(directory: string, times: number) {
  const namespaces = await createNamespaces(['endurance']);
  const [host = ''] = namespaces;
  await ip(uplink, host);
  const files = daemonFiles(`${directory}/peers`);
  mkdirSync(files.leases, { recursive: true });
  writeFileSync(
    files.netConfig,
    JSON.stringify({ Network: '10.0.0.0/8', SubnetLen: 24, Backend: { Type: 'vxlan' } }),
  );
  for (let i = 1; i <= peers; i++) writePeer(files, i);
  const daemon = Daemon.start(pathOf(host), files);
  const view = new NetworkView(pathOf(host));
  try {
    await daemon.ready(files);
    await until('all peers', 30, async () => view.hasFdb(peerMac(peers)));
    // Compiled code and a grown heap are no leak: as many changes again warm up.
    await change(files, view, 0, times);
    await sleep(2000);
    const idle = daemon.cpuMs();
    await sleep(10_000);
    const idleCpuMs = daemon.cpuMs() - idle;
    const before = daemon.memoryMB('RssAnon');
    await change(files, view, times, times);
    await sleep(2000);
    return { idleCpuMs, before, after: daemon.memoryMB('RssAnon') };
  } finally {
    view.close();
    await daemon.stop();
    removeNamespaces(namespaces);
  }
}

/** Peers, one after the other, get another MAC address; the last of each group is waited for. */
async function change(files: ReturnType<typeof daemonFiles>, view: NetworkView, from: number, times: number) {
  for (let i = from; i < from + times; i++) {
    const [peer, generation] = [1 + (i % peers), (1 + Math.floor(i / peers)) & 255];
    writePeer(files, peer, generation);
    if (i % changesAtOnce !== changesAtOnce - 1) continue;
    await until(`the change of peer ${peer}`, 10, async () => view.hasFdb(peerMac(peer, generation)));
  }
}

async function measurePods(directory: string, times: number) {
  const warm = candidates.find(({ name }) => name === 'warm');
  if (warm === undefined) throw new Error('there is no candidate "warm"');
  const host = await Host.create(warm, addsAtOnce, directory);
  try {
    await host.begin('dual');
    await attach(host, 1000);
    const before = host.daemonMemoryMB();
    await attach(host, times);
    return { before, after: host.daemonMemoryMB() };
  } finally {
    await host.end();
  }
}

async function attach(host: Host, pods: number): Promise<void> {
  for (let i = 0; i < pods; i += addsAtOnce) {
    await host.add(addsAtOnce);
    await host.del(addsAtOnce);
  }
  await sleep(2000);
}
