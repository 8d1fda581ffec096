import { type Clock, sleep } from '../world/clock.ts';

/** What a process left behind; `code` is -1 when it could not be started or was killed. */
export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end, with `stdin` as its input. Never rejects. Passed in, so that tests need none. */
export type Run = (program: string, args: readonly string[], stdin?: string) => Promise<Outcome>;

/** Real processes. `env` is the program's whole environment. */
export const runProcess =
  (env: NodeJS.ProcessEnv = process.env): Run =>
  (program, args, stdin = '') =>
    new Promise((resolve) => {
      const { spawn } = process.getBuiltinModule('node:child_process');
      const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
      const output = { stdout: '', stderr: '' };
      child.on('error', (error) => resolve({ ...output, code: -1, stderr: error.message }));
      // Without descriptors to spare it has not even pipes.
      if (child.pid === undefined) return;
      child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
      child.on('close', (code) => resolve({ ...output, code: code ?? -1 }));
      // A program that ends without reading its input is judged by its exit code.
      child.stdin.on('error', () => {});
      child.stdin.end(stdin);
    });

/** Answers after `limit` milliseconds at the latest, as if the program had been killed; it may go on. */
export const withLimit =
  (run: Run, clock: Clock, limit: number): Run =>
  async (...command) => {
    const answered = new AbortController();
    const late = sleep(clock, limit, answered.signal).then(() => ({
      code: -1,
      stdout: '',
      stderr: `no end after ${limit / 1000} s`,
    }));
    const outcome = await Promise.race([run(...command), late]);
    answered.abort();
    return outcome;
  };
