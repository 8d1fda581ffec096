import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { withNetns } from '../kit/netns.ts';
import { Cluster, type Family, type Launch, until } from './cluster.ts';

/** In the emulated machine everything takes ten times as long, and more when this one is busy. Milliseconds. */
export const patience = 60_000;

/** Whether the kernel that runs has WireGuard; without, flanneld takes wireguard-go. */
export const kernelHasWireguard = (): Promise<boolean> =>
  withNetns((netns) =>
    netns.exec('ip', 'link', 'add', 'wg0', 'type', 'wireguard').then(
      () => true,
      () => false,
    ),
  );

export interface Shown {
  readonly listenPort: string;
  readonly fwmark: string;
  /** Public key, preshared key, endpoint, allowed IPs, keepalive. */
  readonly peers: readonly (readonly string[])[];
}

/**
 * Nodes with the backend wireguard, each with a `/run` of its own: wireguard-go's socket and flannel's key file lie there. It
 * stays when flanneld ends, as on a machine.
 */
export class WireguardNodes {
  readonly cluster: Cluster;
  readonly #holders: ChildProcess[] = [];

  private constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  /** Their flannelds are up. `prepare` comes before they are started. */
  static async start(
    family: Family,
    nodes: number,
    backend: object = {},
    prepare: (made: WireguardNodes) => Promise<void> = () => Promise.resolve(),
  ): Promise<WireguardNodes> {
    const made = new WireguardNodes(await Cluster.start(family, nodes));
    const { cluster } = made;
    cluster.configure({ ...cluster.configuration(), Backend: { Type: 'wireguard', ...backend } });
    try {
      for (let i = 0; i < nodes; i++) made.#holders.push(await holdRun());
      await prepare(made);
      await Promise.all(cluster.nodes.map((_, i) => made.run(i)));
    } catch (error) {
      await made.stop();
      throw new Error([...cluster.logs.values()].join('\n'), { cause: error });
    }
    return made;
  }

  run(i: number, args: readonly string[] = []): Promise<void> {
    return this.cluster.run(i, { before: this.inside(i), args }, patience);
  }

  /** What goes in front of a program so that it sees the node's `/run`. */
  inside(i: number): NonNullable<Launch['before']> {
    // In the emulated machine the root of a mount namespace is not what processes take for it.
    const holder = `/proc/${this.#holders[i]?.pid}`;
    return ['nsenter', `--mount=${holder}/ns/mnt`, `--root=${holder}/root`];
  }

  exec(i: number, ...command: readonly string[]): Promise<string> {
    const [program = '', ...args] = [...this.inside(i), ...command];
    return this.cluster.nodes[i]?.exec(program, ...args) ?? Promise.reject(new Error(`no node ${i}`));
  }

  ip(i: number, line: string): Promise<string> {
    return this.exec(i, 'ip', ...line.split(' '));
  }

  wg(i: number, line: string): Promise<string> {
    return this.exec(i, 'wg', ...line.split(' '));
  }

  /** What wg(8) shows of a device. */
  async shown(i: number, device = 'flannel-wg'): Promise<Shown> {
    const [first = '', ...peers] = (await this.wg(i, `show ${device} dump`)).trim().split('\n');
    const [, , listenPort = '', fwmark = ''] = first.split('\t');
    const rows = peers.map((line) => {
      const [key = '', psk = '', endpoint = '', allowed = '', , , , keepalive = ''] = line.split('\t');
      return [key, psk, endpoint, allowed.split(',').toSorted().join(','), keepalive];
    });
    return { listenPort, fwmark, peers: rows };
  }

  async publicKey(i: number, device = 'flannel-wg'): Promise<string> {
    return (await this.wg(i, `show ${device} public-key`)).trim();
  }

  async index(i: number, device = 'flannel-wg'): Promise<number> {
    const [link] = JSON.parse(await this.ip(i, `-j link show ${device}`)) as { ifindex: number }[];
    return link?.ifindex ?? 0;
  }

  /** One way and back, each family; the first packets may wait for the handshake. */
  async connected(from: number, to: number): Promise<void> {
    const families = { v4: [4], v6: [6], dual: [4, 6] } as const;
    for (const family of families[this.cluster.family])
      await until(() => this.cluster.reaches(from, to, family), patience);
  }

  async stop(): Promise<void> {
    for (const i of this.cluster.nodes.keys()) {
      await this.cluster.end(i, 'SIGKILL');
      // wireguard-go lives on, and would keep the namespace: it ends with its device.
      for (const device of ['flannel-wg', 'flannel-wg-v6'])
        await this.cluster.nodes[i]?.exec('ip', 'link', 'del', device).catch(() => undefined);
    }
    for (const holder of this.#holders) holder.kill('SIGKILL');
    await this.cluster.stop();
  }
}

async function holdRun(): Promise<ChildProcess> {
  const script = 'mount -t tmpfs run /run && echo ready && exec sleep infinity';
  const holder = spawn('unshare', ['--mount', 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise<void>((resolve, reject) => {
    holder.stdout?.once('data', () => resolve());
    holder.once('exit', () => reject(new Error('a mount namespace could not be made')));
  });
  return holder;
}

/** All that flanneld of a node has written down or told. */
export function traces({ cluster }: WireguardNodes, i: number): string {
  const files = [`leases/node-${i}.json`, `state-${i}/state.json`, `${i}.env`].map((name) =>
    cluster.file(name),
  );
  return [cluster.logs.get(i) ?? '', ...files.map((file) => fs.readFileSync(file, 'utf8'))].join('\n');
}
