import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createNetns, type Netns } from '../kit/netns.ts';

export const flanneld = path.resolve(import.meta.dirname, '../../build/bin/flanneld');
export type Family = 'v4' | 'v6' | 'dual';

/** Backend of net-conf.json. */
export interface Backend {
  readonly Type: string;
  readonly [option: string]: unknown;
}

/** What of flannel's there is on a node. */
export interface Traces {
  /** Devices that are up. */
  readonly devices: readonly string[];
  /** The device of each route to a peer's subnet. */
  readonly routes: readonly string[];
}

export interface Launch {
  /** Goes in front of the program. */
  readonly before?: readonly string[];
  readonly args?: readonly string[];
  readonly program?: string;
  /** The subnet file of an earlier run stays: its being there does not say that flanneld is ready. */
  readonly keepSubnetFile?: boolean;
}

/** Nodes on one bridge, each a namespace with eth0, a default route and perhaps a flanneld. */
export class Cluster {
  readonly family: Family;
  readonly directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-daemon-'));
  readonly nodes: Netns[] = [];
  /** Holds the bridge. */
  readonly underlay = createNetns();
  /** The options that say where configuration and leases are. */
  registry: readonly string[] = [
    `--net-config-path=${this.file('net-conf.json')}`,
    `--lease-dir=${this.file('leases')}`,
  ];
  readonly #daemons = new Map<number, ChildProcess>();
  readonly logs = new Map<number, string>();

  private constructor(family: Family) {
    this.family = family;
  }

  static async start(family: Family, nodes: number): Promise<Cluster> {
    const cluster = new Cluster(family);
    await cluster.underlay.exec('ip', 'link', 'add', 'br0', 'type', 'bridge');
    await cluster.underlay.exec('ip', 'link', 'set', 'br0', 'up');
    for (let i = 0; i < nodes; i++) await cluster.#plug(i);
    cluster.configure(cluster.configuration());
    return cluster;
  }

  async #plug(i: number): Promise<void> {
    const node = createNetns();
    this.nodes.push(node);
    const add = `link add p${i} master br0 type veth peer name eth0 netns ${node.name}`;
    await this.underlay.exec('ip', ...add.split(' '));
    await this.underlay.exec('ip', 'link', 'set', `p${i}`, 'up');
    const commands = [
      'link set lo up',
      'link set eth0 up',
      ...(this.family === 'v6'
        ? []
        : [`addr add 192.0.2.${i + 1}/24 dev eth0`, 'route add default via 192.0.2.254']),
      ...(this.family === 'v4'
        ? []
        : [
            `addr add 2001:db8::${i + 1}/64 dev eth0 nodad`,
            '-6 route add default via 2001:db8::fe dev eth0',
          ]),
    ];
    for (const command of commands) await node.exec('ip', ...command.split(' '));
  }

  configuration(): object {
    return {
      ...(this.family === 'v6' ? { EnableIPv4: false } : { Network: '10.244.0.0/16' }),
      ...(this.family === 'v4' ? {} : { EnableIPv6: true, IPv6Network: 'fd00:244::/56' }),
      Backend: { Type: 'vxlan' },
    };
  }

  configure(document: unknown): void {
    fs.writeFileSync(
      this.file('net-conf.json'),
      typeof document === 'string' ? document : JSON.stringify(document),
    );
  }

  /** From the next start on. */
  useBackend(backend: Backend): void {
    this.configure({ ...this.configuration(), Backend: backend });
  }

  async traces(i: number): Promise<Traces> {
    const node = this.nodes[i];
    const links = (await node?.exec('ip', '-o', 'link', 'show', 'up')) ?? '';
    const routes = `${await node?.exec('ip', 'route')}${await node?.exec('ip', '-6', 'route')}`;
    return {
      devices: [...links.matchAll(/^\d+: (flannel[^:@]*)/gm)].map(([, name = '']) => name).toSorted(),
      routes: [...routes.matchAll(/^(?:10\.244|fd00:244:)\S+ via \S+ dev (\S+)/gm)]
        .map(([, device = '']) => device)
        .toSorted(),
    };
  }

  file(name: string): string {
    return path.join(this.directory, name);
  }

  args(i: number): string[] {
    return [
      ...this.registry,
      `--node-name=node-${i}`,
      `--subnet-file=${this.file(`${i}.env`)}`,
      `--state-dir=${this.file(`state-${i}`)}`,
      `--socket=${this.file(`${i}.sock`)}`,
    ];
  }

  /** Starts flanneld on a node and waits until pods could be served, `limit` milliseconds at most. */
  async run(i: number, how: Launch = {}, limit = 10_000): Promise<void> {
    const child = this.launch(i, how);
    await until(() => {
      if (child.exitCode !== null) throw new Error(this.logs.get(i));
      return this.logs.get(i)?.includes('ready: pods can be served') === true;
    }, limit);
  }

  /** Only starts it: see {@link logs}. */
  launch(i: number, how: Launch = {}): ChildProcess {
    const { before = [], args = [], program = flanneld, keepSubnetFile = false } = how;
    if (!keepSubnetFile) fs.rmSync(this.file(`${i}.env`), { force: true });
    const command = [`--net=${this.nodes[i]?.path}`, ...before, program, ...this.args(i), ...args];
    const child = spawn('nsenter', command, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#daemons.set(i, child);
    this.logs.set(i, '');
    child.stderr
      ?.setEncoding('utf8')
      .on('data', (text: string) => this.logs.set(i, `${this.logs.get(i)}${text}`));
    return child;
  }

  async end(i: number, signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#daemons.get(i);
    if (child === undefined) return null;
    this.#daemons.delete(i);
    if (child.exitCode !== null) return child.exitCode;
    const code = new Promise<number | null>((resolve) => {
      child.once('close', resolve);
    });
    child.kill(signal);
    return code;
  }

  /** A flanneld that must refuse to start: what it says. */
  refused(
    args: string[],
    env: NodeJS.ProcessEnv = {},
    before: string[] = [],
  ): { status: number | null; says: string } {
    const command = [`--net=${this.nodes[0]?.path}`, ...before, flanneld, ...args];
    const { status, stderr } = spawnSync('nsenter', command, {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], ...env },
      timeout: 15_000,
    });
    const sentences = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
    return { status, says: sentences.join('\n') };
  }

  subnet(i: number, key = 'FLANNEL_SUBNET'): string {
    return new RegExp(`${key}=([^/]*)`).exec(fs.readFileSync(this.file(`${i}.env`), 'utf8'))?.[1] ?? '';
  }

  /** The address of a node's own device: its subnet's network address. */
  device(i: number, family: 4 | 6): string {
    return family === 4
      ? this.subnet(i).replace(/\.1$/, '.0')
      : this.subnet(i, 'FLANNEL_IPV6_SUBNET').replace(/1$/, '');
  }

  async reaches(from: number, to: number, family: 4 | 6): Promise<boolean> {
    const node = this.nodes[from];
    return (
      (await node?.exec('ping', `-${family}`, '-c1', '-W1', this.device(to, family)).then(
        () => true,
        () => false,
      )) === true
    );
  }

  /** The gateway's address on a bridge, as the first pod would bring it. */
  async addPodAddress(i: number): Promise<void> {
    const node = this.nodes[i];
    await node?.exec('ip', 'link', 'add', 'cni0', 'type', 'bridge');
    await node?.exec('ip', 'link', 'set', 'cni0', 'up');
    for (const key of ['FLANNEL_SUBNET', 'FLANNEL_IPV6_SUBNET']) {
      const address = this.subnet(i, key);
      if (address !== '')
        await node?.exec(
          'ip',
          'addr',
          'add',
          address,
          'dev',
          'cni0',
          ...(address.includes(':') ? ['nodad'] : []),
        );
    }
  }

  async reachesPod(from: number, to: number, family: 4 | 6): Promise<boolean> {
    const target = this.subnet(to, family === 4 ? 'FLANNEL_SUBNET' : 'FLANNEL_IPV6_SUBNET');
    const ping = this.nodes[from]?.exec('ping', `-${family}`, '-c1', '-W1', target);
    return (
      (await ping?.then(
        () => true,
        () => false,
      )) === true
    );
  }

  async stop(): Promise<void> {
    for (const i of this.#daemons.keys()) await this.end(i, 'SIGKILL');
    for (const node of this.nodes) node.remove();
    this.underlay.remove();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

export async function until(condition: () => boolean | Promise<boolean>, limit = 10_000): Promise<void> {
  const end = Date.now() + limit;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`it did not come to this: ${condition.toString()}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}
