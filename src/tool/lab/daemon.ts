import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Refusal } from '../refusal.ts';
import type { NodeLayout } from './layout.ts';

const beside = path.resolve(import.meta.dirname, '..');
const built = path.resolve(import.meta.dirname, '../../../build/bin');

/** The programs that lie beside this one; from the sources, those of `npm run build`. */
export const programs = existsSync(path.join(beside, 'flanneld')) ? beside : built;

/** Starts a node's flanneld in the node's namespace; it outlives this program. */
export function startDaemon(node: NodeLayout): void {
  // The directory of CNI state has to be there for the daemon to see it: else the first pod is done stand-alone.
  mkdirSync(node.file('cni'), { recursive: true, mode: 0o700 });
  const log = openSync(node.file('flanneld.log'), 'a', 0o600);
  const child = spawn(
    'nsenter',
    [
      `--net=${node.netnsPath}`,
      ...ownDirectories(node),
      path.join(programs, 'flanneld'),
      `--net-config-path=${node.lab.netConfig}`,
      `--lease-dir=${node.lab.leases}`,
      `--node-name=${node.name}`,
      `--subnet-file=${node.file('subnet.env')}`,
      `--state-dir=${node.file('state')}`,
      `--socket=${node.socket}`,
      '--ip-masq',
    ],
    {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, WIREGUARD_KEY_FILE: node.file('wgkey') },
    },
  );
  closeSync(log);
  child.on('error', () => {});
  child.unref();
  if (child.pid === undefined) throw new Refusal('cannot start nsenter: install util-linux');
  writeFileSync(node.file('flanneld.pid'), JSON.stringify({ pid: child.pid, started: startOf(child.pid) }));
}

/**
 * flanneld sweeps /var/lib/cni, and what this machine's own pods left there is not a lab's to release: what is in /var/lib is hidden
 * from it. wireguard-go cannot be told where to listen: on each node it gets a directory of that name.
 */
function ownDirectories({ lab }: NodeLayout): string[] {
  const hide = (directory: string) => `mkdir -p ${directory} && mount -t tmpfs lab ${directory}`;
  const hidden = ['/var/lib', ...(lab.plan.backend === 'wireguard' ? ['/run/wireguard'] : [])];
  const script = [...hidden.map(hide), 'exec "$@"'].join(' && ');
  return ['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', script, 'sh'];
}

/** Waits until pods can be served. Throws a {@link Refusal} with the log's end when it ends or takes too long. */
export async function daemonReady(node: NodeLayout, signal: AbortSignal): Promise<void> {
  for (let waited = 0; waited < 15_000; waited += 10) {
    if (existsSync(node.file('subnet.env'))) return;
    if (signal.aborted) throw new Refusal('interrupted');
    if (runningDaemon(node) === undefined) break;
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
  throw new Refusal(`flanneld on ${node.name} is not ready:\n${complaints(node).slice(-5).join('\n')}`);
}

/** What its log says but for what it was given, which whoever has made the lab knows. */
function complaints(node: NodeLayout): string[] {
  const log = existsSync(node.file('flanneld.log')) ? readFileSync(node.file('flanneld.log'), 'utf8') : '';
  return log
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('{"level":"info"'));
}

/** The process of the node's flanneld, if it is still the one that was started. */
function runningDaemon(node: NodeLayout): number | undefined {
  try {
    const { pid, started } = JSON.parse(readFileSync(node.file('flanneld.pid'), 'utf8')) as {
      pid: number;
      started: string;
    };
    return startOf(pid) === started ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Ends the node's flanneld, and waits until it is gone. */
export async function stopDaemon(node: NodeLayout): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const pid = runningDaemon(node);
    if (pid === undefined) return;
    try {
      process.kill(pid, attempt < 100 ? 'SIGTERM' : 'SIGKILL');
    } catch {
      return;
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

/** When a process began, in the kernel's ticks: with it a number is one process's for ever. A zombie counts as gone. */
function startOf(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
