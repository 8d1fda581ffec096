import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { EtcdGateway, type EtcdGatewayOptions } from '../../src/lease/etcd/gateway.ts';
import { EtcdStore } from '../../src/lease/etcd/store.ts';
import { systemClock } from '../../src/world/clock.ts';
import { freePort } from './free-port.ts';

export interface EtcdLaunch {
  /** `http` unless given. */
  readonly scheme?: 'http' | 'https';
  readonly args?: readonly string[];
  /** Where it listens; 127.0.0.1 unless given. */
  readonly address?: string;
  /** Goes in front of the program: `nsenter --net=...`. */
  readonly before?: readonly string[];
}

/** Debian's etcd as a process of the test's own, with its data in a temporary directory. */
export class Etcd {
  readonly url: string;
  readonly #command: readonly string[];
  readonly #directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-etcd-'));
  #child: ChildProcess | undefined;
  #log = '';

  private constructor(
    { scheme = 'http', args = [], address = '127.0.0.1', before = [] }: EtcdLaunch,
    ports: number[],
  ) {
    this.url = `${scheme}://${address}:${ports[0]}`;
    const peers = `http://127.0.0.1:${ports[1]}`;
    this.#command = [
      ...before,
      'etcd',
      `--data-dir=${this.#directory}/data`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${this.url}`,
      `--advertise-client-urls=${this.url}`,
      `--listen-peer-urls=${peers}`,
      `--initial-advertise-peer-urls=${peers}`,
      `--initial-cluster=default=${peers}`,
      ...args,
    ];
  }

  static async start(launch: EtcdLaunch = {}): Promise<Etcd> {
    const etcd = new Etcd(launch, [await freePort(), await freePort()]);
    await etcd.begin();
    return etcd;
  }

  /** Again, after {@link kill}: with the data that it had. */
  async begin(): Promise<void> {
    const [program = '', ...args] = this.#command;
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    const ready = new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', () => reject(new Error(`etcd has ended: ${this.#log.slice(-2000)}`)));
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
        if (/ready to serve client requests|serving (insecure )?client/.test(this.#log)) resolve();
      });
    });
    this.#log = '';
    await ready;
  }

  /** As by a crash. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => {
      child.once('close', resolve);
    });
    child.kill(signal);
    await ended;
  }

  /** The next one to begin is a new one. */
  forget(): void {
    fs.rmSync(`${this.#directory}/data`, { recursive: true, force: true });
  }

  /** It hangs, and lives again. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal);
  }

  store(options: Partial<EtcdGatewayOptions> = {}): EtcdStore {
    return etcdStore({ endpoints: [this.url], ...options });
  }

  async put(key: string, value: string): Promise<void> {
    await this.store().transact([], [{ put: key, value, leaseId: '0' }]);
  }

  async remove(key: string): Promise<void> {
    await this.store().transact([], [{ delete: key }]);
  }

  async stop(): Promise<void> {
    this.signal('SIGCONT');
    await this.kill();
    fs.rmSync(this.#directory, { recursive: true, force: true });
  }
}

export const etcdStore = (
  options: Partial<EtcdGatewayOptions> & { endpoints: readonly string[] },
): EtcdStore =>
  new EtcdStore(
    new EtcdGateway({ readFile: (file) => fs.readFileSync(file, 'utf8'), clock: systemClock, ...options }),
  );
