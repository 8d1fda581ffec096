import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { createNetns, type Netns } from '../../kit/netns.ts';

export type Json = Record<string, unknown>;
export type Way = 'warm' | 'stand-alone';
export const ways: readonly Way[] = ['warm', 'stand-alone'];
export const versions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

const repository = path.resolve(import.meta.dirname, '../../..');
export const programs = path.join(repository, 'build/bin');
/** Where the reference plugins are: those that Go built, else Debian's. */
export const referencePlugins = [path.join(repository, '.cache/e2e/current/cni'), '/usr/lib/cni'].find(
  (directory) => fs.existsSync(path.join(directory, 'host-local')),
) as string;

/** How a run of the plugin ended. */
export interface Run {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CniFailure {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
}

export interface CallOptions {
  readonly conf?: Json;
  /** Instead of `conf`: these very bytes. */
  readonly stdin?: string | Buffer;
  readonly netns?: string;
  /** Variables to change; undefined takes one away. */
  readonly env?: Record<string, string | undefined>;
  readonly id?: string;
  readonly ifname?: string;
}

/** A node that is a network namespace, with a real flanneld in it for the warm way in. */
export class Machine {
  readonly way: Way;
  readonly node: Netns = createNetns();
  readonly directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-cni-'));
  readonly #pods: Netns[] = [];
  #daemon: ChildProcess | undefined;
  #scenes = 0;

  private constructor(way: Way) {
    this.way = way;
  }

  static async start(way: Way): Promise<Machine> {
    const machine = new Machine(way);
    await machine.node.exec('ip', 'link', 'set', 'lo', 'up');
    await machine.node.exec('ip', 'link', 'add', 'eth0', 'type', 'bridge');
    await machine.node.exec('ip', 'link', 'set', 'eth0', 'up');
    await machine.node.exec('ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'eth0');
    fs.copyFileSync(path.join(programs, 'flannel'), path.join(machine.directory, 'flannel'));
    if (way === 'warm') await machine.startDaemon();
    return machine;
  }

  /**
   * The plugin. For the warm way in it lies where it has no runtime beside it: what the daemon does not serve then fails, and is
   * not done stand-alone without a word.
   */
  get flannel(): string {
    return this.way === 'warm' && !this.#withRuntime
      ? path.join(this.directory, 'flannel')
      : path.join(programs, 'flannel');
  }

  #withRuntime = false;

  /** For one test in which the daemon goes away, or rightly says "not mine" of a file that it does not see. */
  mayRunAlone(): void {
    this.#withRuntime = true;
    onTestFinished(() => {
      this.#withRuntime = false;
    });
  }

  get socket(): string {
    return path.join(this.directory, 'flanneld.sock');
  }

  async startDaemon(): Promise<void> {
    const file = (name: string) => path.join(this.directory, name);
    // What a killed one has left says nothing of the next one.
    fs.rmSync(file('subnet.env'), { force: true });
    fs.writeFileSync(file('net-conf.json'), '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}');
    this.#daemon = spawn(
      'nsenter',
      [
        `--net=${this.node.path}`,
        path.join(programs, 'flanneld'),
        `--net-config-path=${file('net-conf.json')}`,
        `--lease-dir=${file('leases')}`,
        '--node-name=node',
        '--iface=eth0',
        `--subnet-file=${file('subnet.env')}`,
        `--state-dir=${file('state')}`,
        `--socket=${this.socket}`,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let log = '';
    this.#daemon.stderr?.setEncoding('utf8').on('data', (text: string) => (log += text));
    for (let i = 0; !fs.existsSync(file('subnet.env')) || !fs.existsSync(this.socket); i++) {
      if (i > 500 || this.#daemon.exitCode !== null) throw new Error(`flanneld does not start:\n${log}`);
      await pause(10);
    }
  }

  /** Its pid: nsenter has become the starter, and that the daemon. */
  get daemonPid(): number {
    return this.#daemon?.pid ?? 0;
  }

  async killDaemon(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined) return;
    this.#daemon = undefined;
    const gone = new Promise((resolve) => {
      daemon.once('close', resolve);
    });
    daemon.kill(signal);
    await gone;
  }

  async stop(): Promise<void> {
    await this.killDaemon('SIGTERM');
    for (const pod of this.#pods) pod.remove();
    this.node.remove();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }

  pod(): Netns {
    const pod = createNetns();
    this.#pods.push(pod);
    return pod;
  }

  scene(): Scene {
    return new Scene(this, ++this.#scenes);
  }

  /** Runs the plugin as a container runtime does, in the node's namespace. */
  exec(env: Record<string, string | undefined>, stdin: string | Buffer, program = this.flannel) {
    return new Promise<Run>((resolve, reject) => {
      const child = this.spawn(env, program);
      let [stdout, stderr] = ['', ''];
      child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      child.stdin?.on('error', () => {});
      child.stdin?.end(stdin);
      child.on('error', reject);
      child.on('close', (code) => resolve({ status: code ?? -1, stdout, stderr }));
    });
  }

  spawn(env: Record<string, string | undefined>, program = this.flannel): ChildProcess {
    const socket = this.way === 'warm' ? this.socket : path.join(this.directory, 'nobody.sock');
    return spawn('nsenter', [`--net=${this.node.path}`, program], {
      env: { PATH: process.env['PATH'], FLANNELD_SOCKET: socket, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }
}

/** One test's own network on a machine: name, bridge, subnets, directories. */
export class Scene {
  readonly machine: Machine;
  readonly index: number;
  readonly pod: Netns;
  readonly directory: string;

  constructor(machine: Machine, index: number) {
    this.machine = machine;
    this.index = index;
    this.pod = machine.pod();
    this.directory = path.join(machine.directory, `scene-${index}`);
    fs.mkdirSync(this.directory);
    this.subnetEnv({});
  }

  get bridge(): string {
    return `br${this.index}`;
  }

  get network(): string {
    return `net${this.index}`;
  }

  get v4(): string {
    return `10.244.${this.index}`;
  }

  get v6(): string {
    return `fd00:244:0:${this.index.toString(16)}::`;
  }

  /** Where host-local's files are. */
  get addresses(): string {
    return path.join(this.directory, 'networks', this.network);
  }

  get dataDir(): string {
    return path.join(this.directory, 'flannel');
  }

  get subnetFile(): string {
    return path.join(this.directory, 'subnet.env');
  }

  subnetEnv(changes: Record<string, string | undefined>): void {
    const lines = {
      FLANNEL_NETWORK: '10.244.0.0/16',
      FLANNEL_SUBNET: `${this.v4}.1/24`,
      FLANNEL_MTU: '1450',
      FLANNEL_IPMASQ: 'true',
      ...changes,
    };
    const text = Object.entries(lines).flatMap(([key, value]) =>
      value === undefined ? [] : [`${key}=${value}\n`],
    );
    fs.writeFileSync(this.subnetFile, text.join(''));
  }

  dualStack(): void {
    this.subnetEnv({ FLANNEL_IPV6_NETWORK: 'fd00:244::/48', FLANNEL_IPV6_SUBNET: `${this.v6}1/64` });
  }

  ipv6Only(): void {
    this.subnetEnv({
      FLANNEL_NETWORK: undefined,
      FLANNEL_SUBNET: undefined,
      FLANNEL_IPV6_NETWORK: 'fd00:244::/48',
      FLANNEL_IPV6_SUBNET: `${this.v6}1/64`,
    });
  }

  conf(changes: Json = {}, delegate: Json = {}, ipam: Json = {}): Json {
    return {
      cniVersion: '1.1.0',
      name: this.network,
      type: 'flannel',
      subnetFile: this.subnetFile,
      dataDir: this.dataDir,
      ipam: { dataDir: path.join(this.directory, 'networks'), ...ipam },
      delegate: { bridge: this.bridge, hairpinMode: true, isDefaultGateway: true, ...delegate },
      ...changes,
    };
  }

  environment(
    verb: string,
    { netns, env, id, ifname }: CallOptions = {},
  ): Record<string, string | undefined> {
    return {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: id ?? 'c1',
      CNI_NETNS: netns ?? this.pod.path,
      CNI_IFNAME: ifname ?? 'eth0',
      CNI_PATH: `${programs}:${referencePlugins}`,
      ...env,
    };
  }

  run(verb: string, options: CallOptions = {}): Promise<Run> {
    const stdin = options.stdin ?? JSON.stringify(options.conf ?? this.conf());
    return this.machine.exec(this.environment(verb, options), stdin);
  }

  /** A run that must succeed; its one JSON document, or undefined where nothing is printed. */
  async ok(verb: string, options: CallOptions = {}): Promise<Json> {
    const { status, stdout, stderr } = await this.run(verb, options);
    expect(`${status} ${status === 0 ? '' : stdout}${stderr}`).toMatch(/^0 /);
    return stdout === '' ? {} : (JSON.parse(stdout) as Json);
  }

  /** A run that must fail, with the one error document. */
  async fails(verb: string, options: CallOptions = {}): Promise<CniFailure> {
    const { status, stdout } = await this.run(verb, options);
    expect(status, stdout).not.toBe(0);
    return JSON.parse(stdout) as CniFailure;
  }

  /** The addresses that are reserved. */
  reserved(): string[] {
    if (!fs.existsSync(this.addresses)) return [];
    return fs
      .readdirSync(this.addresses)
      .filter((name) => name !== 'lock' && !name.startsWith('last_reserved'));
  }

  async ports(): Promise<string[]> {
    const links = (await this.machine.node.json('ip', 'link', 'show')) as {
      ifname: string;
      master?: string;
    }[];
    return links.filter(({ master }) => master === this.bridge).map(({ ifname }) => ifname);
  }

  /** What is left of attachments: addresses, ports, files. */
  async leftovers(): Promise<{ reserved: string[]; ports: string[]; files: string[] }> {
    const list = (directory: string) =>
      fs.existsSync(directory)
        ? fs
            .readdirSync(directory, { recursive: true, withFileTypes: true })
            .filter((entry) => entry.isFile())
        : [];
    const files = [...list(this.dataDir), ...list(path.join(this.directory, 'flannelette'))];
    return { reserved: this.reserved(), ports: await this.ports(), files: files.map(({ name }) => name) };
  }

  async addressesOf(netns: Netns, link: string): Promise<string[]> {
    const [shown] = (await netns.json('ip', 'addr', 'show', 'dev', link)) as {
      addr_info: { local: string; prefixlen: number; scope: string }[];
    }[];
    return (shown?.addr_info ?? [])
      .filter(({ scope }) => scope === 'global')
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
  }

  async routes(family: 4 | 6 = 4): Promise<string[]> {
    const routes = (await this.pod.json('ip', `-${family}`, 'route', 'show')) as {
      dst: string;
      gateway?: string;
    }[];
    return routes.flatMap(({ dst, gateway }) => (gateway === undefined ? [] : [`${dst} via ${gateway}`]));
  }

  async link(netns: Netns, name: string): Promise<Json> {
    const [shown] = (await netns.json('ip', '-d', 'link', 'show', 'dev', name)) as Json[];
    return shown ?? {};
  }

  sysctl(netns: Netns, name: string): string {
    return execFileSync('nsenter', [`--net=${netns.path}`, 'cat', `/proc/sys/net/${name}`], {
      encoding: 'utf8',
    }).trim();
  }
}

export const nothing = { reserved: [], ports: [], files: [] };

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
