import { type ChildProcess, spawn } from 'node:child_process';
import { afterEach, expect, test } from 'vitest';
import { Cluster, type Family, until } from './cluster.ts';

/** wireguard-go's socket and flannel's key lie in /run: each node has its own. */
class Disk {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async make(): Promise<Disk> {
    const script = 'mount -t tmpfs run /run && echo ready && exec sleep infinity';
    const holder = spawn('unshare', ['--mount', 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve, reject) => {
      holder.stdout?.once('data', resolve);
      holder.once('exit', reject);
    });
    return new Disk(holder);
  }

  get before(): string[] {
    return ['nsenter', `--mount=/proc/${this.#holder.pid}/ns/mnt`];
  }

  remove(): void {
    this.#holder.kill('SIGKILL');
  }
}

let cluster: Cluster | undefined;
const disks: Disk[] = [];

afterEach(async () => {
  // wireguard-go lives on without the daemon, and would keep the namespace: it ends with its device.
  for (const i of cluster?.nodes.keys() ?? []) {
    await cluster?.end(i, 'SIGKILL');
    for (const link of ['flannel-wg', 'flannel-wg-v6'])
      await cluster?.nodes[i]?.exec('ip', 'link', 'del', link).catch(() => undefined);
  }
  for (const disk of disks.splice(0)) disk.remove();
  await cluster?.stop();
  cluster = undefined;
});

async function start(family: Family, nodes: number, backend: object = {}): Promise<Cluster> {
  const made = await Cluster.start(family, nodes);
  cluster = made;
  made.configure({ ...made.configuration(), Backend: { Type: 'wireguard', ...backend } });
  for (let i = 0; i < nodes; i++) disks.push(await Disk.make());
  for (let i = 0; i < nodes; i++) await run(made, i);
  return made;
}

const run = (made: Cluster, i: number) => made.run(i, { before: disks[i]?.before ?? [] });

/** `wg` on a node. */
const wg = (made: Cluster, i: number, ...args: string[]): Promise<string> =>
  made.nodes[i]?.exec(...([...(disks[i]?.before ?? []), 'wg', ...args] as [string, ...string[]])) ??
  Promise.resolve('');

test('two nodes reach each other through wireguard-go, in both families', async () => {
  const made = await start('dual', 2, { PersistentKeepaliveInterval: 25 });
  for (const family of [4, 6] as const) await until(() => made.reaches(0, 1, family));
  expect(await wg(made, 0, 'show', 'flannel-wg', 'allowed-ips')).toContain(made.device(1, 4));
});
