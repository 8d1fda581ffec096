import { execFile, execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { threadId } from 'node:worker_threads';

/** A network namespace that a test made for itself. */
export interface Netns {
  readonly name: string;
  /** `/run/netns/<name>`: what a container runtime would put into CNI_NETNS. */
  readonly path: string;
  /** An open descriptor of {@link Netns.path}, for IFLA_NET_NS_FD and openNetlink. */
  readonly fd: number;
  /** Runs a program inside and answers what it printed; rejects, with its stderr, when it fails. */
  exec(program: string, ...args: string[]): Promise<string>;
  /** `exec` for `ip -j` and `bridge -j`: what they printed, parsed. No output is an empty list. */
  json(program: string, ...args: string[]): Promise<unknown>;
  /** Takes it away before the test ends. Once is enough, twice does no harm. */
  remove(): void;
}

const run = promisify(execFile);
const open = new Set<Netns>();
let counter = 0;

/** Makes a namespace; with nobody to remove it, it goes when the process ends. */
export function createNetns(): Netns {
  if (open.size === 0 && counter === 0) process.on('exit', removeAll);
  const name = `fl-${process.pid}-${threadId}-${counter++}`;
  execFileSync('ip', ['netns', 'add', name], { stdio: ['ignore', 'ignore', 'pipe'] });
  const path = `/run/netns/${name}`;
  const fd = openSync(path, 'r');
  const exec = async (program: string, ...args: string[]) => {
    const { stdout } = await run('ip', ['netns', 'exec', name, program, ...args], { maxBuffer: 64 << 20 });
    return stdout;
  };
  const netns: Netns = {
    name,
    path,
    fd,
    exec,
    async json(program, ...args) {
      const text = await exec(program, '-j', ...args);
      return text.trim() === '' ? [] : (JSON.parse(text) as unknown);
    },
    remove() {
      if (!open.delete(netns)) return;
      closeSync(fd);
      execFileSync('ip', ['netns', 'del', name], { stdio: ['ignore', 'ignore', 'pipe'] });
    },
  };
  open.add(netns);
  return netns;
}

/** Calls `use` with a namespace that is gone when the answer is there, also when `use` throws. */
export async function withNetns<T>(use: (netns: Netns) => T | Promise<T>): Promise<T> {
  const netns = createNetns();
  try {
    return await use(netns);
  } finally {
    netns.remove();
  }
}

function removeAll(): void {
  for (const netns of open) netns.remove();
}
