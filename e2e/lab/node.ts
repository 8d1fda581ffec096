import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { binary, repository } from './binary.ts';
import { attempt, command, until } from './command.ts';
import { Cri } from './cri.ts';
import { imageArchive, imageName } from './image.ts';
import { NodeProcess, hasEnded, onlyChild } from './process.ts';
import { type Call, parseCalls } from './recorder.ts';
import { type Runtime, containerdConfiguration } from './runtime.ts';
import type { Underlay } from './underlay.ts';

export interface NodeSetup {
  readonly index: number;
  readonly underlay: Underlay;
  readonly runtime: Runtime;
  /** The lab's directory; the node's own one is made in it. */
  readonly directory: string;
  /** A recorder in front of every CNI plugin: `calls` tells what containerd asked. */
  readonly record: boolean;
}

/** A machine made of namespaces, with a container runtime: what it has on disk survives `powerOff`. */
export class LabNode {
  readonly name: string;
  readonly address: string;
  readonly directory: string;
  readonly cgroup: string;
  readonly #setup: NodeSetup;
  #unshare: ChildProcess | undefined;
  #init = 0;
  #cri: Cri | undefined;
  #containerd: NodeProcess | undefined;

  constructor(setup: NodeSetup) {
    this.#setup = setup;
    this.name = `node-${setup.index}`;
    this.address = setup.underlay.address(setup.index);
    this.directory = path.join(setup.directory, this.name);
    this.cgroup = `/${setup.underlay.name}/${this.name}`;
    mkdirSync(this.directory, { recursive: true });
  }

  /** Power on: namespaces, file system, containerd with the pods' image. */
  async start(): Promise<void> {
    const { index, underlay } = this.#setup;
    const [pause] = await Promise.all([binary('pause'), underlay.plug(index)]);
    await this.#startInit(pause);
    await this.#installReferencePlugins();
    await this.startContainerd();
    await this.ctr('images', 'import', await imageArchive());
  }

  get cri(): Cri {
    if (this.#cri === undefined) throw new Error(`${this.name} is off`);
    return this.#cri;
  }

  /** A path of the node's own file system, as seen from here. */
  path(file: string): string {
    return path.join(`/proc/${this.#init}/root`, file);
  }

  /** Runs a program in the node; throws with its output when it fails. */
  exec(program: readonly string[], input = ''): Promise<string> {
    const [file = '', ...args] = [...this.#enter, ...program];
    return command(file, args, input);
  }

  shell(script: string): Promise<string> {
    return this.exec(['bash', '-euc', script]);
  }

  async succeeds(...program: string[]): Promise<boolean> {
    const [file = '', ...args] = [...this.#enter, ...program];
    return (await attempt(file, args)).code === 0;
  }

  ctr(...args: string[]): Promise<string> {
    return this.exec([path.join(this.#setup.runtime.programs, 'ctr'), '-n', 'k8s.io', ...args]);
  }

  spawn(name: string, program: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<NodeProcess> {
    const log = path.join(this.directory, 'log', `${name}.log`);
    return NodeProcess.start(this.#enter, program, log, { ...environment(this.#setup.runtime), ...env });
  }

  async startContainerd(): Promise<void> {
    const configuration = path.join(this.directory, 'containerd.toml');
    writeFileSync(configuration, containerdConfiguration(this.#setup.runtime, imageName));
    const program = [path.join(this.#setup.runtime.programs, 'containerd'), '--config', configuration];
    const containerd = await this.spawn('containerd', program, { CNI_RECORD: this.#recordFile });
    this.#containerd = containerd;
    this.#cri = new Cri(this.path('/run/containerd/containerd.sock'));
    await this.#cri.ready(20).catch((error: unknown) => {
      throw new Error(`containerd on ${this.name} does not answer: ${String(error)}\n${containerd.tail()}`);
    });
  }

  /** Ends containerd alone: its pods go on. */
  async stopContainerd(): Promise<void> {
    this.#cri?.close();
    this.#containerd?.kill('SIGKILL');
    await this.#containerd?.exited;
  }

  /**
   * Puts a CNI plugin into the node's bin directory as an installer does. With `beside`, that directory of the
   * plugin's own lies next to it.
   */
  async installPlugin(source: string, beside?: string): Promise<void> {
    const bin = '/opt/cni/bin';
    const to = this.#setup.record ? `${bin}/.recorded` : bin;
    const name = path.basename(source);
    copyFileSync(source, this.path(`${to}/.${name}.new`));
    renameSync(this.path(`${to}/.${name}.new`), this.path(`${to}/${name}`));
    if (this.#setup.record) await this.#installRecorder(name);
    if (beside === undefined) return;
    const directory = `${to}/${path.basename(beside)}`;
    await this.shell(
      `mkdir -p ${directory}; mountpoint -q ${directory} || mount --bind ${beside} ${directory}`,
    );
  }

  /** Puts a network configuration in place by a rename within the directory, which both containerds notice. */
  installConfiguration(name: string, text: string): void {
    writeFileSync(this.path('/etc/cni/net.d/.new'), text);
    renameSync(this.path('/etc/cni/net.d/.new'), this.path(`/etc/cni/net.d/${name}`));
  }

  /** Every CNI call that containerd has made since the node was made. */
  calls(): Call[] {
    return existsSync(this.#recordFile) ? parseCalls(readFileSync(this.#recordFile, 'utf8')) : [];
  }

  /** The addresses that host-local's files hold for a network. */
  reservations(network = 'cbr0'): string[] {
    const directory = this.path(`/var/lib/cni/networks/${network}`);
    if (!existsSync(directory)) return [];
    return readdirSync(directory).filter((name) => /^[0-9a-f.:]+$/.test(name));
  }

  /** Makes the reservations as old as most are: flanneld leaves young ones alone, whose ADD may not be over. */
  async ageReservations(network = 'cbr0'): Promise<void> {
    await this.shell(`touch -d '10 minutes ago' /var/lib/cni/networks/${network}/*`);
  }

  /** The names of the bridge's ports: one a pod. */
  async ports(bridge = 'cni0'): Promise<string[]> {
    const links = JSON.parse(await this.exec(['ip', '-j', 'link', 'show'])) as {
      ifname: string;
      master?: string;
    }[];
    return links.filter((link) => link.master === bridge).map((link) => link.ifname);
  }

  /** The plug is pulled: everything of the node ends at once, and its network devices are gone. */
  async powerOff(): Promise<void> {
    const { index, underlay } = this.#setup;
    this.#cri?.close();
    this.#cri = undefined;
    const unshare = this.#unshare;
    if (unshare === undefined) return;
    const gone = new Promise((resolve) => {
      unshare.once('close', resolve);
    });
    this.kill();
    this.#unshare = undefined;
    await gone;
    await until(`the end of ${this.name}`, 10, async () => this.hasEnded);
    await underlay.unplug(index);
  }

  /** The plug again, for a process that ends: waits for nothing and removes nothing. */
  kill(): void {
    this.#unshare?.kill('SIGKILL'); // the kernel then kills its child, process 1 of the node, and with it all others
  }

  get hasEnded(): boolean {
    return this.#init === 0 || hasEnded(this.#init);
  }

  get #recordFile(): string {
    return path.join(this.directory, 'cni-calls.jsonl');
  }

  get #enter(): string[] {
    return ['nsenter', '-t', String(this.#init), '-m', '-n', '-u', '-i', '-p'];
  }

  /** Never by `ip netns exec`: it mounts a /sys without cgroups. The death of this process ends the node as well. */
  async #startInit(pause: string): Promise<void> {
    const { index, underlay } = this.#setup;
    const args = [
      `--pdeathsig=KILL nsenter --net=/run/netns/${underlay.netns(index)}`.split(' '),
      'unshare --mount --pid --uts --ipc --fork --kill-child=SIGKILL bash'.split(' '),
      [path.join(import.meta.dirname, 'node-init.sh'), this.directory, pause, this.name],
    ].flat();
    const child = spawn('setpriv', args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment(this.#setup.runtime),
    });
    this.#unshare = child;
    const errors: Buffer[] = [];
    child.stderr.on('data', (data: Buffer) => errors.push(data));
    const lines = createInterface(child.stdout);
    const ready = await new Promise((resolve) => {
      lines.once('line', resolve);
      lines.once('close', () => resolve(undefined));
    });
    if (ready !== 'ready')
      throw new Error(`${this.name} does not start: ${Buffer.concat(errors).toString()}`);
    this.#init = onlyChild(child.pid ?? 0) ?? 0;
  }

  async #installReferencePlugins(): Promise<void> {
    const { plugins } = this.#setup.runtime;
    const bin = this.path('/opt/cni/bin');
    if (this.#setup.record) mkdirSync(path.join(bin, '.recorded'), { recursive: true });
    const names = readdirSync(plugins).filter((name) => referencePlugins.has(name));
    for (const name of names) {
      const link = path.join(bin, this.#setup.record ? '.recorded' : '', name);
      if (!existsSync(link)) symlinkSync(path.join(plugins, name), link);
      if (this.#setup.record) await this.#installRecorder(name);
    }
  }

  async #installRecorder(name: string): Promise<void> {
    const recorder = this.path('/opt/cni/bin/.recorder');
    if (!existsSync(recorder)) copyFileSync(await binary('recorder'), recorder);
    const link = this.path(`/opt/cni/bin/${name}`);
    if (!existsSync(link)) symlinkSync('.recorder', link);
  }
}

const referencePlugins = new Set([
  'bandwidth',
  'bridge',
  'firewall',
  'host-local',
  'loopback',
  'portmap',
  'tuning',
]);

/** What a service manager would give: nothing of ours but PATH and the mark of the test run. */
function environment(runtime: Runtime): NodeJS.ProcessEnv {
  const { FLANNELETTE_RUN } = process.env;
  const system = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return {
    PATH: `${runtime.programs}:${system}`,
    ...(FLANNELETTE_RUN === undefined ? {} : { FLANNELETTE_RUN }),
  };
}

/** Where `npm run build` puts the programs. */
export const programs = path.join(repository, 'build/bin');
