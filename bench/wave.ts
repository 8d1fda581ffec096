import path from 'node:path';
import { spawn } from 'node:child_process';
import { compiled } from '../e2e/lab/binary.ts';

/** One start of a CNI program. */
export interface Job {
  readonly env: Readonly<Record<string, string>>;
  readonly input: string;
}

/** What the driver saw of it, from outside. */
export interface Outcome {
  readonly ms: number;
  /** Of the process and of the children it waited for. */
  readonly cpuMs: number;
  readonly output: string;
}

/** Starts the program once for each job, all at the same time, in a network namespace. Throws when one of them fails. */
export async function wave(netns: string, program: string, jobs: readonly Job[]): Promise<Outcome[]> {
  const driver = await compiled(path.join(import.meta.dirname, 'driver.c'));
  const { output, code } = await run(driver, [netns, program], jobs.map(encode).join(''));
  if (code !== 0) throw new Error(`the driver ended with ${code}`);
  return decode(output, program);
}

function encode({ env, input }: Job): string {
  const variables = Object.entries(env).map(([key, value]) => `${key}=${value}\0`);
  return `${variables.join('')}\0${input}\0`;
}

function decode(bytes: Buffer, program: string): Outcome[] {
  const outcomes: Outcome[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf('\n', at);
    const line = bytes.toString('latin1', at, end).split(' ').map(Number);
    const [nanoseconds = 0, microseconds = 0, status = 0, length = 0] = line;
    at = end + 1 + length;
    const output = bytes.toString('utf8', end + 1, at);
    if (status !== 0) throw new Error(`${program} ended with ${status}: ${output}`);
    outcomes.push({ ms: nanoseconds / 1e6, cpuMs: microseconds / 1e3, output });
  }
  return outcomes;
}

function run(
  file: string,
  args: readonly string[],
  input: string,
): Promise<{ output: Buffer; code: number }> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (data: Buffer) => chunks.push(data));
    child.on('error', reject);
    child.on('close', (code) => resolve({ output: Buffer.concat(chunks), code: code ?? 128 }));
    child.stdin.end(input);
  });
}
