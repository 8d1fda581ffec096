import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Candidate } from './candidate.ts';
import { Daemon, type DaemonFiles, daemonFiles } from './daemon.ts';
import { createNamespaces, ip, pathOf, uplink } from './namespaces.ts';
import { type Job, type Outcome, wave } from './wave.ts';

export type Family = 'v4' | 'dual';

/** A pod as the bench knows it: its namespace, and what the ADD answered while it is there. */
interface Pod {
  readonly netns: string;
  containerId: string;
  result: string | undefined;
}

let ids = 0;

/** So many pods has a flanneld served when it is measured. */
export const servedBefore = 512;

/** A network namespace in the part of a node, for one candidate, with namespaces for its pods. */
export class Host {
  readonly candidate: Candidate;
  readonly #netns: string;
  readonly #pods: readonly Pod[];
  readonly #files: DaemonFiles;
  #daemon: Daemon | undefined;
  #configuration: Record<string, unknown> = {};

  private constructor(candidate: Candidate, netns: string, pods: readonly string[], files: DaemonFiles) {
    this.candidate = candidate;
    this.#netns = netns;
    this.#files = files;
    this.#pods = pods.map((name) => ({ netns: name, containerId: '', result: undefined }));
  }

  static async create(candidate: Candidate, pods: number, directory: string): Promise<Host> {
    const names = Array.from({ length: pods }, (_, i) => `${candidate.name}-${i}`);
    const [netns = '', ...podNamespaces] = await createNamespaces([`${candidate.name}-host`, ...names]);
    await ip(uplink, netns);
    for (const pod of podNamespaces) await ip(['link set lo up'], pod);
    const files = daemonFiles(path.join(directory, candidate.name));
    return new Host(candidate, netns, podNamespaces, files);
  }

  /** No pods, no bridge, no state; the files of a family, and a flanneld where the candidate has one. */
  async begin(family: Family): Promise<void> {
    await this.fill(0);
    await this.#stopDaemon();
    await ip(['link delete cni0'], this.#netns).catch(() => {}); // not there the first time
    rmSync(this.#files.directory, { recursive: true, force: true });
    mkdirSync(this.#files.leases, { recursive: true });
    writeFileSync(this.#files.netConfig, JSON.stringify(netConfig(family)));
    writeFileSync(this.#files.subnetFile, subnetEnv(family));
    this.#configuration = this.candidate.configuration(this.#files);
    if (this.candidate.daemon) await this.#startDaemon();
    // Page cache, bridge, compiled code: nobody is measured cold, and a flanneld serves a node for weeks.
    for (let i = 0; i < (this.candidate.daemon ? servedBefore / 16 : 4); i++) {
      await this.add(16);
      await this.del(16);
    }
  }

  /** Adds or deletes pods until so many are there. Only this is done by flanneld for `stand-alone` too: it is quicker. */
  async fill(wanted: number): Promise<void> {
    const present = this.#pods.filter(({ result }) => result !== undefined).length;
    if (present === wanted) return;
    const helped = this.candidate.name === 'stand-alone' && this.#daemon === undefined;
    if (helped) await this.#startDaemon();
    for (let left = Math.abs(wanted - present); left > 0; left -= 8) {
      await (wanted > present ? this.add(Math.min(8, left)) : this.del(Math.min(8, left)));
    }
    if (helped) await this.#stopDaemon();
  }

  /** Attaches so many more pods at once. */
  async add(count: number): Promise<Outcome[]> {
    const pods = this.#pods.filter(({ result }) => result === undefined).slice(0, count);
    for (const pod of pods) pod.containerId = `bench${(++ids).toString(16).padStart(59, '0')}`;
    const outcomes = await this.#wave('ADD', pods);
    for (const [i, pod] of pods.entries()) pod.result = outcomes[i]?.output;
    return outcomes;
  }

  /** Detaches the last ones, as a runtime does it: with the ADD's result. */
  async del(count: number): Promise<Outcome[]> {
    const pods = this.#pods.filter(({ result }) => result !== undefined).slice(-count);
    const outcomes = await this.#wave('DEL', pods);
    for (const pod of pods) pod.result = undefined;
    return outcomes;
  }

  /** flanneld's CPU time so far, 0 where there is none. */
  daemonCpuMs(): number {
    return this.#daemon?.cpuMs() ?? 0;
  }

  daemonMemoryMB(): number {
    return this.#daemon?.memoryMB('RssAnon') ?? 0;
  }

  async end(): Promise<void> {
    await this.#stopDaemon();
  }

  #wave(verb: 'ADD' | 'DEL', pods: readonly Pod[]): Promise<Outcome[]> {
    const jobs = pods.map((pod) => this.#job(verb, pod));
    return wave(pathOf(this.#netns), this.candidate.program, jobs);
  }

  #job(verb: 'ADD' | 'DEL', pod: Pod): Job {
    const env = {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      CNI_COMMAND: verb,
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pathOf(pod.netns),
      CNI_IFNAME: 'eth0',
      CNI_PATH: this.candidate.plugins,
      CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=bench',
      FLANNELD_SOCKET: this.#files.socket,
    };
    const prevResult = pod.result === undefined ? {} : { prevResult: JSON.parse(pod.result) as unknown };
    return { env, input: JSON.stringify({ ...this.#configuration, ...prevResult }) };
  }

  async #startDaemon(): Promise<void> {
    this.#daemon = Daemon.start(pathOf(this.#netns), this.#files);
    await this.#daemon.ready(this.#files);
  }

  async #stopDaemon(): Promise<void> {
    await this.#daemon?.stop();
    this.#daemon = undefined;
  }
}

/** /22, so that there is room for 250 pods and 32 more. */
function netConfig(family: Family): object {
  const v6 = { EnableIPv6: true, IPv6Network: 'fd00:244::/56', IPv6SubnetLen: 64 };
  const v4 = { Network: '10.244.0.0/16', SubnetLen: 22 };
  return { ...v4, ...(family === 'dual' ? v6 : {}), Backend: { Type: 'vxlan' } };
}

/** What flanneld finds as its earlier lease and takes again; the reference, which has no flanneld, reads the same. */
function subnetEnv(family: Family): string {
  const v6 = ['FLANNEL_IPV6_NETWORK=fd00:244::/56', 'FLANNEL_IPV6_SUBNET=fd00:244:0:1::1/64'];
  const v4 = ['FLANNEL_NETWORK=10.244.0.0/16', 'FLANNEL_SUBNET=10.244.4.1/22'];
  const rest = ['FLANNEL_MTU=1450', 'FLANNEL_IPMASQ=true', ''];
  return [...v4, ...(family === 'dual' ? v6 : []), ...rest].join('\n');
}
