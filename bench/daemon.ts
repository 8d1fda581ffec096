import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { until } from '../e2e/lab/command.ts';
import { programs } from '../e2e/lab/node.ts';

/** Where a flanneld of the bench keeps its files. */
export interface DaemonFiles {
  readonly directory: string;
  readonly netConfig: string;
  readonly leases: string;
  readonly subnetFile: string;
  readonly socket: string;
}

export function daemonFiles(directory: string): DaemonFiles {
  const file = (name: string) => path.join(directory, name);
  return {
    directory,
    netConfig: file('net-conf.json'),
    leases: file('leases'),
    subnetFile: file('subnet.env'),
    socket: file('flanneld.sock'),
  };
}

/** A running flanneld in a network namespace that has an eth0. */
export class Daemon {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #errors: Buffer[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.on('data', (data: Buffer) => this.#errors.push(data));
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    this.#exited = new Promise((resolve) => {
      child.once('close', () => {
        process.off('exit', kill);
        resolve();
      });
    });
  }

  /** Only started: see `ready`. Programs in `path` go before the machine's own. */
  static start(
    netns: string,
    files: DaemonFiles,
    name = 'bench',
    more: { readonly args?: readonly string[]; readonly path?: string } = {},
  ): Daemon {
    // the starter becomes the daemon, and nsenter the starter: the child's pid is the daemon's
    const args = [
      `--net=${netns}`,
      path.join(programs, 'flanneld'),
      `--net-config-path=${files.netConfig}`,
      `--lease-dir=${files.leases}`,
      `--node-name=${name}`,
      '--iface=eth0',
      `--subnet-file=${files.subnetFile}`,
      `--state-dir=${path.join(files.directory, 'state')}`,
      `--socket=${files.socket}`,
      ...(more.args ?? []),
    ];
    const env = { ...process.env, PATH: [more.path, process.env['PATH']].filter(Boolean).join(':') };
    return new Daemon(spawn('nsenter', args, { env, stdio: ['ignore', 'ignore', 'pipe'] }));
  }

  async ready(files: DaemonFiles): Promise<void> {
    await until('flanneld', 20, async () => {
      if (this.ended) throw new Error(`flanneld has ended: ${this.log}`);
      return existsSync(files.subnetFile) && existsSync(files.socket);
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.log}`);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get log(): string {
    return Buffer.concat(this.#errors).toString().split('\n').slice(-10).join('\n');
  }

  /** CPU time so far in milliseconds, to the nanosecond: /proc/<pid>/stat counts in steps of 10 ms. */
  cpuMs(): number {
    const tasks = `/proc/${this.pid}/task`;
    const times = readdirSync(tasks).map((task) => {
      const [time = '0'] = readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ');
      return Number(time);
    });
    return times.reduce((sum, time) => sum + time, 0) / 1e6;
  }

  /** A line of /proc/<pid>/status, in MB. */
  memoryMB(line: 'VmRSS' | 'VmHWM' | 'RssAnon'): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(new RegExp(`^${line}:\\s+(\\d+)`, 'm').exec(status)?.[1]) / 1024;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#child.kill(signal);
    await this.#exited;
  }
}
