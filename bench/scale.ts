import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { mac } from '../src/net/mac.ts';
import { address } from '../src/net/address.ts';
import * as k from '../src/netlink/constants.ts';
import type { Request } from '../src/netlink/message.ts';
import { newNeighbour } from '../src/netlink/route/neighbour.ts';
import { newRoute } from '../src/netlink/route/route.ts';
import { Daemon, type DaemonFiles, daemonFiles } from './daemon.ts';
import { createNamespaces, ip, pathOf, removeNamespaces, uplink } from './namespaces.ts';
import { NetworkView } from './network-view.ts';
import { peerAddress, peerMac, peerSubnet, writePeer } from './peers.ts';
import { memoryDirectory } from './directory.ts';
import { heading, keep, ms, table, verdict } from './report.ts';
import { quantile } from './statistics.ts';
import { wantedIdleRssMB, wantedNexthopStartMs, wantedScale, wantedUpdateCpuMs } from './targets.ts';

interface Result {
  readonly peers: number;
  /** `--nexthop-objects`. */
  readonly nexthops: boolean;
  /** From the start of the process until the last route is in the kernel. */
  readonly startMs: number;
  readonly cpuMs: number;
  readonly rssMB: number;
  /** The same objects, one netlink call each, by a process that runs already. */
  readonly loopMs: number;
  /** flanneld's CPU time for one peer that changes among them. */
  readonly updateCpuMs: number;
}

/** flanneld's start with many peers, beside a plain loop that does the kernel's part of the work. */
export async function benchScale(isQuick: boolean): Promise<void> {
  const plain = { nexthops: false };
  const few = [
    { peers: 1, ...plain },
    { peers: 1000, ...plain },
  ];
  const loads = isQuick ? few : [...few, { peers: 5000, ...plain }, { peers: 5000, nexthops: true }];
  const repeats = isQuick ? 1 : 3;
  heading(`flanneld's start until the routes to all peers are in the kernel (IPv4, median of ${repeats})`);
  const results: Result[] = [];
  for (const load of loads) {
    const runs: Result[] = [];
    for (let i = 0; i < repeats; i++) runs.push(await measure(load));
    const median = (key: Exclude<keyof Result, 'nexthops'>) =>
      quantile(
        runs.map((run) => run[key]),
        0.5,
      );
    const [startMs, cpuMs, rssMB] = [median('startMs'), median('cpuMs'), median('rssMB')];
    results.push({
      ...load,
      startMs,
      cpuMs,
      rssMB,
      loopMs: median('loopMs'),
      updateCpuMs: median('updateCpuMs'),
    });
  }
  print(results);
  console.log(`\nThe figures: ${keep('scale', results)}`);
}

type Load = Pick<Result, 'peers' | 'nexthops'>;

async function measure({ peers, nexthops }: Load): Promise<Result> {
  const directory = memoryDirectory();
  const namespaces = await createNamespaces(['scale', 'loop']);
  const [host = '', loop = ''] = namespaces;
  await ip(uplink, host);
  const files = daemonFiles(directory);
  mkdirSync(files.leases);
  writeFileSync(files.netConfig, JSON.stringify(netConfig));
  for (let i = 1; i <= peers; i++) writePeer(files, i);
  const start = performance.now();
  const args = nexthops ? ['--nexthop-objects'] : [];
  const daemon = Daemon.start(pathOf(host), files, 'bench', { args });
  const view = new NetworkView(pathOf(host));
  try {
    await routesAre(view, peers, daemon);
    const startMs = performance.now() - start;
    const cpuMs = daemon.cpuMs();
    await sleep(1000);
    const rssMB = daemon.memoryMB('VmRSS');
    const updateCpuMs = await update(files, daemon, view);
    return { peers, nexthops, startMs, cpuMs, rssMB, updateCpuMs, loopMs: await plainLoop(loop, peers) };
  } finally {
    view.close();
    await daemon.stop();
    removeNamespaces(namespaces);
  }
}

/** Looks again after twice the time that a look takes: looking costs the same two CPUs. */
async function routesAre(view: NetworkView, peers: number, daemon: Daemon): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const begin = performance.now();
    if (view.countRoutes(k.AF_INET) >= peers + 1) return; // and the default route
    if (daemon.ended) throw new Error(`flanneld has ended: ${daemon.log}`);
    if (performance.now() > deadline) throw new Error(`not all routes within 60 s: ${daemon.log}`);
    await sleep(Math.max(2, 2 * (performance.now() - begin)));
  }
}

/** The first peer gets another MAC, ten times. */
async function update(files: DaemonFiles, daemon: Daemon, view: NetworkView): Promise<number> {
  const before = daemon.cpuMs();
  const times = 10;
  for (let i = 1; i <= times; i++) {
    writePeer(files, 1, i);
    await sleep(200);
    if (!view.hasFdb(peerMac(1, i)))
      throw new Error(`the change of a peer was not followed within 200 ms: ${daemon.log}`);
  }
  return (daemon.cpuMs() - before) / times;
}

/** What Go flannel does: a call for the neighbour, one for the FDB entry, one for the route, each waited for. */
async function plainLoop(netns: string, peers: number): Promise<number> {
  await ip(
    [
      ...uplink,
      'link add flannel.1 type vxlan id 1 local 192.168.50.1 dev eth0 dstport 8472 nolearning',
      'link set flannel.1 up',
    ],
    netns,
  );
  const view = new NetworkView(pathOf(netns));
  const index = view.indexOf('flannel.1');
  const start = performance.now();
  for (let i = 1; i <= peers; i++) for (const request of objects(index, i)) view.do(request);
  const took = performance.now() - start;
  view.close();
  return took;
}

function objects(index: number, peer: number): Request[] {
  const subnet = address(peerSubnet(peer));
  const NDA_LLADDR = mac(peerMac(peer));
  const entry = { ndm_ifindex: index, ndm_state: k.NUD_PERMANENT, NDA_LLADDR };
  return [
    newNeighbour({ ...entry, ndm_family: k.AF_INET, ndm_type: k.RTN_UNICAST, NDA_DST: subnet }),
    newNeighbour({
      ...entry,
      ndm_family: k.AF_BRIDGE,
      ndm_flags: k.NTF_SELF,
      NDA_DST: address(peerAddress(peer)),
    }),
    newRoute({
      rtm_family: k.AF_INET,
      rtm_dst_len: 24,
      rtm_table: k.RT_TABLE_MAIN,
      rtm_protocol: k.RTPROT_BOOT,
      rtm_scope: k.RT_SCOPE_UNIVERSE,
      rtm_type: k.RTN_UNICAST,
      rtm_flags: k.RTNH_F_ONLINK,
      RTA_DST: subnet,
      RTA_GATEWAY: subnet,
      RTA_OIF: index,
    }),
  ];
}

function print(results: readonly Result[]): void {
  const head = [
    'peers',
    'start ms',
    'wanted',
    '',
    'CPU ms',
    'wanted',
    '',
    'RSS MB',
    'wanted',
    '',
    'loop ms',
    'update CPU ms',
    'wanted',
    '',
  ];
  const rows = results.map((result) => {
    const { peers, nexthops, startMs, cpuMs, rssMB, loopMs, updateCpuMs } = result;
    const wanted = nexthops ? { startMs: wantedNexthopStartMs } : wantedScale.get(peers);
    const judge = (value: number, limit: number | undefined) =>
      limit === undefined ? [ms(value), '', ''] : [ms(value), `< ${limit}`, verdict(value <= limit)];
    return [
      nexthops ? `${peers}, next hops` : String(peers),
      ...judge(startMs, wanted?.startMs),
      ...judge(cpuMs, wanted?.cpuMs),
      ...judge(rssMB, wantedIdleRssMB(peers)),
      ms(loopMs),
      ...judge(updateCpuMs, wantedUpdateCpuMs),
    ];
  });
  table(head, rows, 0);
}

const netConfig = { Network: '10.0.0.0/8', SubnetLen: 24, Backend: { Type: 'vxlan' } };
