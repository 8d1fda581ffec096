import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { askStatus } from '../daemon-status.ts';
import type { Print } from '../print.ts';
import { table } from '../table.ts';
import type { Layout, NodeLayout } from './layout.ts';
import type { LabPod } from './pod.ts';

/** Pings, of a second each, before one counts as lost: neighbours are looked up at the first, and WireGuard tries again after five. */
const attempts = 8;

/** The nodes in a table, and who reaches whom. The answer is 0, or 1 when something is amiss. */
export async function showStatus(lab: Layout, print: Print, signal?: AbortSignal): Promise<number> {
  const rows = await Promise.all(lab.nodes.map((node) => nodeRow(node)));
  print.line(
    table(
      ['NODE', 'PUBLIC IP', 'SUBNET', 'PODS', 'PEERS', 'STATE'],
      rows.map(({ cells }) => cells),
    ),
  );
  const lost = await showMatrix(lab, print, signal);
  return rows.every(({ well }) => well) && lost === 0 ? 0 : 1;
}

async function nodeRow(node: NodeLayout): Promise<{ cells: string[]; well: boolean }> {
  try {
    const status = await askStatus(node.socket);
    const { lease, peers, refused, kernel, waitingFor } = status;
    const troubles = [
      ...waitingFor.map((what) => `waits for ${what}`),
      ...refused.map(({ id, reason }) => `refuses ${id}: ${reason}`),
      ...kernel.failed.map(({ why }) => why),
    ];
    return {
      cells: [
        node.name,
        both(lease?.attributes.publicIP, lease?.attributes.publicIPv6),
        both(lease?.subnet, lease?.ipv6Subnet),
        String(podsOf(node).length),
        `${peers.length}/${node.lab.plan.nodes - 1}`,
        troubles.length === 0 ? 'ready' : troubles.join('; '),
      ],
      well: troubles.length === 0 && peers.length === node.lab.plan.nodes - 1,
    };
  } catch {
    return {
      cells: [node.name, '', '', String(podsOf(node).length), '', 'flanneld does not answer'],
      well: false,
    };
  }
}

const both = (...texts: (string | undefined)[]): string =>
  texts.filter((text) => text !== undefined).join(' ');

/** Every pod to every other, in each family: the time, or `lost`. Answers how many were lost. */
async function showMatrix(lab: Layout, print: Print, signal?: AbortSignal): Promise<number> {
  const pods = lab.nodes.flatMap(podsOf);
  if (pods.length < 2) return 0;
  let lost = 0;
  for (const family of [4, 6] as const) {
    if (!lab.has(family) || signal?.aborted === true) continue;
    // One way first: WireGuard drops both of two handshakes that cross, and Debian's wireguard-go, whose jitter is the
    // same in every process, lets them cross at each further try.
    const there = await pingAll(pods, family, (from, to) => from < to);
    const back = await pingAll(pods, family, (from, to) => from > to);
    const rows = pods.map(({ name }, from) => [
      name,
      ...pods.map((_, to) => (from < to ? there : back)[from]?.[to] ?? '-'),
    ]);
    lost += rows.flat().filter((cell) => cell === 'lost').length;
    print.line();
    print.line(table([`PING IPv${family} (ms)`, ...pods.map(({ name }) => name)], rows));
  }
  return lost;
}

function pingAll(
  pods: LabPod[],
  family: 4 | 6,
  wanted: (from: number, to: number) => boolean,
): Promise<string[][]> {
  const row = (from: LabPod, index: number) =>
    Promise.all(pods.map(async (to, at) => (wanted(index, at) ? await ping(from, to, family) : '-')));
  return Promise.all(pods.map(row));
}

async function ping(from: LabPod, to: LabPod, family: 4 | 6): Promise<string> {
  const address = to.addresses.find((each) => each.includes(':') === (family === 6));
  if (address === undefined) return '-';
  for (let attempt = 0; attempt < attempts; attempt++) {
    const output = await run(['nsenter', `--net=${from.netnsPath}`, 'ping', '-c1', '-W1', address]);
    if (output === undefined) return 'no ping program';
    const time = /time=([0-9.]+) ms/.exec(output)?.[1];
    if (time !== undefined) return time;
  }
  return 'lost';
}

/** What a program printed; undefined when there is no such program. */
function run([program = '', ...args]: string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', () => resolve(undefined));
    child.on('close', (code) => resolve(code === 127 ? undefined : output));
  });
}

function podsOf(node: NodeLayout): LabPod[] {
  const file = node.file('pods.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as LabPod[]) : [];
}
