import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { attempt, command } from '../lab/command.ts';
import { programs } from '../lab/node.ts';
import { type ParityCase, subnetEnv } from './cases.ts';
import { type Places, delegateConfiguration, flannelConfiguration } from './chain.ts';
import { type Snapshot, fileSnapshot, macNames, namespaceSnapshot, resultSnapshot } from './snapshot.ts';

/** Who runs a case: a CNI program, where its delegates are, and the configuration it gets. */
export interface Candidate {
  readonly name: string;
  readonly program: string;
  readonly plugins: string;
  readonly configuration: (given: ParityCase, places: Places) => Record<string, unknown>;
}

/** The bridge plugin with what Go flannel's plugin would hand to it. */
export function reference(plugins: string): Candidate {
  return {
    name: `the bridge plugin in ${plugins}`,
    program: path.join(plugins, 'bridge'),
    plugins,
    configuration: delegateConfiguration,
  };
}

/** Our flannel, with no daemon: it stands alone. */
export const ours: Candidate = {
  name: 'flannel, stand-alone',
  program: path.join(programs, 'flannel'),
  plugins: programs,
  configuration: flannelConfiguration,
};

const containerId = 'parity0123456789abcdef';
let runs = 0;

/** ADD, CHECK, DEL and a second DEL in namespaces of their own; every line of what there was after each. */
export async function run(candidate: Candidate, given: ParityCase): Promise<Snapshot> {
  runs += 1;
  const host = `fl-parity-${process.pid}-${runs}h`;
  const pod = `fl-parity-${process.pid}-${runs}p`;
  const directory = mkdtempSync(path.join(tmpdir(), 'fl-parity-'));
  try {
    await command('ip', ['netns', 'add', host]);
    await command('ip', ['netns', 'add', pod]);
    await command('ip', ['-n', pod, 'link', 'set', 'lo', 'up']);
    await command('ip', ['-n', host, '-batch', '-'], `link set lo up\n${(given.before ?? []).join('\n')}\n`);
    return await new Run(candidate, given, host, pod, directory).all();
  } finally {
    for (const netns of [host, pod]) await attempt('ip', ['netns', 'delete', netns]);
    rmSync(directory, { recursive: true });
  }
}

class Run {
  readonly #candidate: Candidate;
  readonly #given: ParityCase;
  readonly #host: string;
  readonly #pod: string;
  readonly #places: Places;
  readonly #lines: Snapshot = new Map();

  constructor(candidate: Candidate, given: ParityCase, host: string, pod: string, directory: string) {
    this.#candidate = candidate;
    this.#given = given;
    this.#host = host;
    this.#pod = pod;
    this.#places = {
      directory,
      subnetFile: path.join(directory, 'subnet.env'),
      stateDir: path.join(directory, 'state'),
      networks: path.join(directory, 'networks'),
    };
    mkdirSync(this.#places.networks);
    const lines = Object.entries(subnetEnv(given)).map(([key, value]) => `${key}=${value}\n`);
    writeFileSync(this.#places.subnetFile, lines.join(''));
    const resolver = 'nameserver 10.96.0.10\nsearch cluster.local\ndomain local\noptions ndots:5\n';
    writeFileSync(path.join(directory, 'resolv.conf'), resolver);
  }

  async all(): Promise<Snapshot> {
    const configuration = this.#candidate.configuration(this.#given, this.#places);
    const netns = `/run/netns/${this.#pod}`;
    const add = await this.#call('ADD', configuration, netns);
    await this.#keep('after ADD');
    if (add.code === 0) {
      const version = String(configuration['cniVersion']);
      const withResult = { ...configuration, prevResult: JSON.parse(add.stdout) as unknown };
      const checks = ['0.4.0', '1.0.0', '1.1.0'].includes(version);
      if (checks) await this.#call('CHECK', withResult, netns);
      if (this.#given.del === 'gone') await command('ip', ['netns', 'delete', this.#pod]);
      await this.#call('DEL', checks ? withResult : configuration, this.#given.del === 'empty' ? '' : netns);
    } else {
      await this.#call('DEL', configuration, netns);
    }
    await this.#keep('after DEL');
    await this.#call('second DEL', configuration, '');
    return this.#lines;
  }

  async #call(verb: string, configuration: Record<string, unknown>, netns: string) {
    const env = [
      `CNI_COMMAND=${verb.replace('second ', '')}`,
      `CNI_CONTAINERID=${containerId}`,
      `CNI_NETNS=${netns}`,
      'CNI_IFNAME=eth0',
      `CNI_PATH=${this.#candidate.plugins}`,
      `CNI_ARGS=${this.#given.cniArgs ?? ''}`,
      `FLANNELD_SOCKET=${this.#places.directory}/no.sock`,
    ];
    const enter = [`--net=/run/netns/${this.#host}`, 'env', ...env, this.#candidate.program];
    const answer = await attempt('nsenter', enter, JSON.stringify(configuration));
    const macs = await macNames(this.#namespaces);
    const lines = resultSnapshot(verb, answer.code, answer.stdout, macs);
    for (const [key, value] of lines) this.#lines.set(key, this.#anonymous(value));
    return answer;
  }

  async #keep(when: string): Promise<void> {
    const snapshots = [
      ...(await Promise.all(this.#namespaces.map(namespaceSnapshot))),
      fileSnapshot(this.#places.networks),
    ];
    for (const [key, value] of snapshots.flatMap((snapshot) => [...snapshot])) {
      this.#lines.set(`${when}: ${this.#anonymous(key)}`, this.#anonymous(value));
    }
  }

  get #namespaces() {
    return [
      { name: 'host', netns: this.#host },
      { name: 'pod', netns: this.#pod },
    ] as const;
  }

  /** Paths and namespaces have other names in each run. */
  #anonymous(text: string): string {
    return text
      .replaceAll(this.#places.directory, '@')
      .replaceAll(this.#pod, 'POD')
      .replaceAll(this.#host, 'HOST');
  }
}
