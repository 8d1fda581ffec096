import { spawn } from 'node:child_process';

interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Never throws for its exit status; a signal counts as 128. */
export function attempt(file: string, args: readonly string[], input = ''): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: 'pipe' });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (data: Buffer) => out.push(data));
    child.stderr.on('data', (data: Buffer) => err.push(data));
    child.stdin.on('error', () => {}); // a program that does not read its input
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({
        code: code ?? 128,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      }),
    );
    child.stdin.end(input);
  });
}

/** Runs a program and returns what it printed. Throws with its output when it fails. */
export async function command(file: string, args: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await attempt(file, args, input);
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
  return stdout;
}

/** Asks again every 20 ms until the answer is neither undefined nor false. Throws after `seconds`, naming `what`. */
export async function until<T>(
  what: string,
  seconds: number,
  ask: () => Promise<T | undefined | false>,
): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
