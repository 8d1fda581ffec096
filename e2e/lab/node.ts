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
import { Cri } from './cri.ts';
import { imageArchive, imageName } from './image.ts';
import { Machine } from './machine.ts';
import type { NodeProcess } from './process.ts';
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

/** A machine with a container runtime. */
export class LabNode extends Machine {
  readonly address: string;
  readonly cgroup: string;
  readonly #setup: NodeSetup;
  #cri: Cri | undefined;
  #containerd: NodeProcess | undefined;

  constructor(setup: NodeSetup) {
    const { index, underlay, runtime } = setup;
    const name = `node-${index}`;
    super({
      name,
      netns: underlay.netns(index),
      directory: path.join(setup.directory, name),
      programs: runtime.programs,
    });
    this.#setup = setup;
    this.address = underlay.address(index);
    this.cgroup = `/${underlay.name}/${name}`;
  }

  /** Power on: namespaces, file system, containerd with the pods' image. */
  override async start(): Promise<void> {
    const { index, underlay } = this.#setup;
    await underlay.plug(index);
    await super.start();
    await this.#installReferencePlugins();
    await this.startContainerd();
    await this.ctr('images', 'import', await imageArchive());
  }

  get cri(): Cri {
    if (this.#cri === undefined) throw new Error(`${this.name} is off`);
    return this.#cri;
  }

  ctr(...args: string[]): Promise<string> {
    return this.exec([path.join(this.#setup.runtime.programs, 'ctr'), '-n', 'k8s.io', ...args]);
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

  /** Makes all that is written of pods older than this machine's boot, as it is after a node's. */
  async passBoot(): Promise<void> {
    await this.shell(`find /var/lib/cni -type f -exec touch -d @1 {} +`);
  }

  /** The names of the bridge's ports: one a pod. */
  async ports(bridge = 'cni0'): Promise<string[]> {
    const links = JSON.parse(await this.exec(['ip', '-j', 'link', 'show'])) as {
      ifname: string;
      master?: string;
    }[];
    return links.filter((link) => link.master === bridge).map((link) => link.ifname);
  }

  /** Its network devices are gone as well. */
  override async powerOff(): Promise<void> {
    this.#cri?.close();
    this.#cri = undefined;
    if (!this.isOn) return;
    await super.powerOff();
    await this.#setup.underlay.unplug(this.#setup.index);
  }

  get #recordFile(): string {
    return path.join(this.directory, 'cni-calls.jsonl');
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

/** Where `npm run build` puts the programs. */
export const programs = path.join(repository, 'build/bin');
