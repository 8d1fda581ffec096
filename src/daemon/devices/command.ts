import { spawn } from 'node:child_process';

/** What an operator's command is run with. */
export interface CommandInput {
  /** Beside flanneld's own environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly input: string;
  /** Milliseconds; then it and all that it started is killed. */
  readonly limit: number;
}

export interface CommandOutcome {
  /** What it printed, both ways together, without white space at the ends. */
  readonly output: string;
  /** In a few words, undefined when it went well: `it ended with 2`. */
  readonly failure?: string;
}

/** Runs a line of an operator's in the shell. Never rejects. Passed in, so that tests need no process. */
export type RunCommand = (line: string, given: CommandInput) => Promise<CommandOutcome>;

/** More of what a command prints than this, in characters, is left out. */
const maxOutput = 64 * 1024;
/** What it left running may hold its output open: so long is waited for the rest, in milliseconds. */
const lastWords = 500;

/** Real processes, by /bin/sh, each in a process group of its own. `own` is flanneld's environment. */
export const shellCommand =
  (own: NodeJS.ProcessEnv): RunCommand =>
  (line, { environment, input, limit }) =>
    new Promise((resolve) => {
      const child = spawn('/bin/sh', ['-c', line], {
        env: { ...own, ...environment },
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      child.on('error', (error) =>
        resolve({ output: '', failure: `it cannot be started: ${error.message}` }),
      );
      // Without descriptors to spare it has not even pipes.
      if (child.pid === undefined) return;
      let output = '';
      const take = (text: string) => {
        output = (output + text).slice(0, maxOutput);
      };
      const end = (failure?: string) => {
        clearTimeout(timer);
        child.stdout.destroy();
        child.stderr.destroy();
        resolve({ output: output.trim(), ...(failure !== undefined && { failure }) });
      };
      const timer = setTimeout(() => {
        killGroup(child.pid);
        end(`it was not done after ${limit / 1000} s, and was killed`);
      }, limit);
      child.stdout.setEncoding('utf8').on('data', take);
      child.stderr.setEncoding('utf8').on('data', take);
      child.on('exit', (code, signal) => {
        const failure = code === 0 ? undefined : `it ended with ${code ?? signal}`;
        const late = setTimeout(() => end(failure), lastWords);
        child.on('close', () => {
          clearTimeout(late);
          end(failure);
        });
      });
      // One that ends without reading its input is judged by its exit status.
      child.stdin.on('error', () => {});
      child.stdin.end(input);
    });

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}
