import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { binary } from './binary.ts';
import { attempt, command, until } from './command.ts';
import { NodeProcess, hasEnded, onlyChild } from './process.ts';

export interface MachineSetup {
  readonly name: string;
  /** The network namespace that it lives in: made before, and taken away after it. */
  readonly netns: string;
  /** What it has on disk; made if need be. */
  readonly directory: string;
  /** Where programs are looked for first. */
  readonly programs?: string;
}

/**
 * A machine made of namespaces, with a network, /run, /etc, /opt and /var/lib of its own. Its life hangs on the process that
 * made it. What it has on disk survives `powerOff`.
 */
export class Machine {
  readonly name: string;
  readonly directory: string;
  readonly #setup: MachineSetup;
  #unshare: ChildProcess | undefined;
  #init = 0;

  constructor(setup: MachineSetup) {
    this.#setup = setup;
    this.name = setup.name;
    this.directory = setup.directory;
    mkdirSync(this.directory, { recursive: true });
  }

  /** Never by `ip netns exec`: it mounts a /sys without cgroups. The death of this process ends the machine as well. */
  async start(): Promise<void> {
    const pause = await binary('pause');
    const args = [
      `--pdeathsig=KILL nsenter --net=/run/netns/${this.#setup.netns}`.split(' '),
      'unshare --mount --pid --uts --ipc --fork --kill-child=SIGKILL bash'.split(' '),
      [path.join(import.meta.dirname, 'node-init.sh'), this.directory, pause, this.name],
    ].flat();
    const child = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'pipe'], env: this.#environment });
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

  /** A path of the machine's own file system, as seen from here. */
  path(file: string): string {
    return path.join(`/proc/${this.#init}/root`, file);
  }

  /** Runs a program in the machine; throws with its output when it fails. */
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

  spawn(name: string, program: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<NodeProcess> {
    const log = path.join(this.directory, 'log', `${name}.log`);
    return NodeProcess.start(this.#enter, program, log, { ...this.#environment, ...env });
  }

  /** The plug is pulled: everything in the machine ends at once. Its network namespace stays. */
  async powerOff(): Promise<void> {
    const unshare = this.#unshare;
    if (unshare === undefined) return;
    const gone = new Promise((resolve) => {
      unshare.once('close', resolve);
    });
    this.kill();
    this.#unshare = undefined;
    await gone;
    await until(`the end of ${this.name}`, 10, async () => this.hasEnded);
  }

  /** The plug again, for a process that ends: waits for nothing. */
  kill(): void {
    this.#unshare?.kill('SIGKILL'); // the kernel then kills its child, process 1 of the machine, and with it all others
  }

  get isOn(): boolean {
    return this.#unshare !== undefined;
  }

  get hasEnded(): boolean {
    return this.#init === 0 || hasEnded(this.#init);
  }

  get #enter(): string[] {
    return ['nsenter', '-t', String(this.#init), '-m', '-n', '-u', '-i', '-p'];
  }

  /** What a service manager would give: nothing of ours but PATH and the mark of the test run. */
  get #environment(): NodeJS.ProcessEnv {
    const { FLANNELETTE_RUN } = process.env;
    const system = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
    const { programs } = this.#setup;
    return {
      PATH: programs === undefined ? system : `${programs}:${system}`,
      ...(FLANNELETTE_RUN === undefined ? {} : { FLANNELETTE_RUN }),
    };
  }
}
