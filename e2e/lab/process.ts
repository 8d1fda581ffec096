import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { until } from './command.ts';

/**
 * A program that runs in a node. nsenter stands between: it forks into the node's pid namespace, so that the
 * program itself is its only child, and signals go to that one.
 */
export class NodeProcess {
  readonly pid: number;
  readonly exited: Promise<number>;
  readonly log: string;

  private constructor(pid: number, exited: Promise<number>, log: string) {
    this.pid = pid;
    this.exited = exited;
    this.log = log;
  }

  static async start(
    enter: readonly string[],
    program: readonly string[],
    log: string,
    env: NodeJS.ProcessEnv,
  ) {
    const [file = '', ...args] = [...enter, ...program];
    const fd = openSync(log, 'a', 0o600);
    const child = spawn(file, args, { stdio: ['ignore', fd, fd], env });
    closeSync(fd);
    const exited = ended(child);
    const pid = await until(`the start of ${program[0]}`, 10, async () => onlyChild(child.pid ?? 0));
    return new NodeProcess(pid, exited, log);
  }

  kill(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** The end of the log, for error messages. */
  tail(): string {
    return readFileSync(this.log, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
  }
}

function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code ?? 128));
  });
}

/** The first child of a process, as soon as there is one. */
export function onlyChild(pid: number): number | undefined {
  try {
    const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    return first === undefined || first === '' ? undefined : Number(first);
  } catch {
    return undefined; // it has ended
  }
}

/** A process has ended when it is gone, or only waits to be collected: then all below a namespace's process 1 have too. */
export function hasEnded(pid: number): boolean {
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}
