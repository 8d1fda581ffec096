import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { repository } from './binary.ts';
import { Machine } from './machine.ts';
import { LabNode } from './node.ts';
import { hasEnded } from './process.ts';
import type { Runtime } from './runtime.ts';
import { type Family, Underlay } from './underlay.ts';

export interface LabOptions {
  readonly nodes: number;
  readonly family: Family;
  readonly runtime: Runtime;
  readonly record?: boolean;
}

/** What every trace of a lab begins with: network namespaces, the directory in /tmp, the cgroups. Its maker's pid follows. */
const prefix = 'fl-e2e-';
let made = 0;

/**
 * Nodes on one underlay. Nothing of it outlives the process that made it, but names in the file system: `stop`
 * removes these, an exit without `stop` as well, and what a SIGKILL left is removed by the next lab.
 */
export class Lab {
  readonly name: string;
  readonly directory: string;
  readonly underlay: Underlay;
  readonly nodes: readonly LabNode[];
  readonly #machines = new Set<Machine>();
  readonly #atExit = () => this.#stopAtOnce();

  private constructor(options: LabOptions) {
    made += 1;
    this.name = `${prefix}${process.pid}-${made}`;
    this.directory = path.join('/tmp', this.name);
    this.underlay = new Underlay(this.name, options.family);
    mkdirSync(this.directory, { mode: 0o700 });
    // memory: quick, and an overlay can lie upon it whatever the machine's own root is
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=700,size=2g', this.name, this.directory]);
    process.once('exit', this.#atExit);
    const { underlay, directory } = this;
    const common = { underlay, directory, runtime: options.runtime, record: options.record ?? false };
    this.nodes = Array.from({ length: options.nodes }, (_, i) => new LabNode({ ...common, index: i + 1 }));
    for (const node of this.nodes) this.#machines.add(node);
  }

  static async start(options: LabOptions): Promise<Lab> {
    sweepAbandoned();
    const lab = new Lab(options);
    try {
      await lab.underlay.start();
      await Promise.all(lab.nodes.map((node) => node.start()));
    } catch (error) {
      await lab.stop();
      throw error;
    }
    return lab;
  }

  node(index: number): LabNode {
    const node = this.nodes[index - 1];
    if (node === undefined) throw new Error(`this lab has no node ${index}`);
    return node;
  }

  /** A machine without a container runtime, in a network namespace of the lab's that is there. */
  async machine(name: string, netns: string): Promise<Machine> {
    const machine = new Machine({ name, netns, directory: path.join(this.directory, name) });
    this.#machines.add(machine);
    await machine.start();
    return machine;
  }

  /** Ends everything and removes every trace. */
  async stop(): Promise<void> {
    const machines = [...this.#machines];
    await Promise.all(machines.map((machine) => machine.powerOff().catch(() => {}))); // one that never came up
    sweep(this.name);
    process.off('exit', this.#atExit);
  }

  /** The same, in a process that is ending and can wait for nothing but by standing still. */
  #stopAtOnce(): void {
    const machines = [...this.#machines];
    for (const machine of machines) machine.kill();
    const deadline = performance.now() + 3000;
    while (performance.now() < deadline && !machines.every((machine) => machine.hasEnded)) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
    sweep(this.name);
  }
}

/** A conflist of the project, as it is shipped. */
export function shippedConfiguration(name = '10-flannel.conflist'): string {
  return readFileSync(path.join(repository, 'conflist', name), 'utf8');
}

/** Removes what labs left whose process was killed. */
export function sweepAbandoned(): void {
  const places = ['/run/netns', '/tmp', ...cgroupTrees()];
  const names = places.flatMap(list).filter((name) => name.startsWith(prefix));
  const labs = new Set(names.map((name) => name.split('-').slice(0, 4).join('-')));
  for (const lab of labs) {
    if (hasEnded(Number(lab.split('-')[2]))) sweep(lab);
  }
}

function sweep(lab: string): void {
  const quietly = (file: string, args: string[]) => {
    try {
      execFileSync(file, args, { stdio: 'ignore' });
    } catch {
      // it was not there
    }
  };
  const namespaces = list('/run/netns').filter((name) => name === lab || name.startsWith(`${lab}-`));
  for (const name of namespaces) quietly('ip', ['netns', 'delete', name]);
  const directory = path.join('/tmp', lab);
  quietly('umount', ['--lazy', directory]);
  rmSync(directory, { recursive: true, force: true });
  removeCgroups(lab);
}

/** The pods' cgroups stay when a node's power goes. On cgroup v1 each controller has a tree of its own. */
function removeCgroups(lab: string): void {
  const roots = cgroupTrees()
    .map((tree) => path.join(tree, lab))
    .filter((root) => existsSync(root));
  for (const root of roots) {
    const below = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    const deepestFirst = below
      .map((entry) => path.join(entry.parentPath, entry.name))
      .toSorted((a, b) => b.length - a.length);
    for (const group of [...deepestFirst, root]) rmdirQuietly(group);
  }
}

function cgroupTrees(): string[] {
  return ['/sys/fs/cgroup', ...list('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}`)];
}

function rmdirQuietly(group: string): void {
  try {
    execFileSync('rmdir', [group], { stdio: 'ignore' });
  } catch {
    // a process in it has not been collected yet; the next sweep finds it
  }
}

function list(directory: string): string[] {
  return statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true ? readdirSync(directory) : [];
}

/** Writes a file that all nodes see under the same path; returns that path. */
export function sharedFile(lab: Lab, name: string, content: string): string {
  const file = path.join(lab.directory, name);
  writeFileSync(file, content);
  return file;
}
