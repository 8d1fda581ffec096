// What every script here shares with a person: one line a step with its time, and the output of a step that failed.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

const colour = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
const paint = (code) => (text) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
export const green = paint('32');
export const red = paint('31');
export const dim = paint('2');
export const bold = paint('1');

export const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;

/** vitest sees a pipe, not the terminal that its output goes on to. */
export const vitestCommand = ['node_modules/vitest/vitest.mjs', 'run', colour ? '--color' : '--no-color'];

/** A failure whose message says it all: printed without a stack. */
export class Refusal extends Error {}

/** Programs of the locked packages come first in PATH; what slows Node or leads it astray is left out. */
export function environment(extra = {}) {
  const { NODE_EXTRA_CA_CERTS: _ca, NODE_OPTIONS: _options, ...env } = process.env;
  const sbin = '/usr/local/sbin:/usr/sbin:/sbin'; // a root shell opened by `su` lacks them
  return { ...env, PATH: `${path.join(root, 'node_modules/.bin')}:${env.PATH}:${sbin}`, ...extra };
}

/** The children that run now: each leads a process group of its own, so that it can be ended with all below it. */
const running = new Set();

function endChildren(signal = 'SIGTERM') {
  for (const child of running) {
    try {
      process.kill(-child.pid, signal);
    } catch {
      // it has ended by itself
    }
  }
}

let interruption;

/** The signal that was sent to this script; whoever runs steps in a row stops after it. */
export const interrupted = () => interruption;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    interruption = signal;
    endChildren(signal);
    setTimeout(() => endChildren('SIGKILL'), 10_000).unref();
    process.exitCode = 130;
  });
}

/**
 * Runs a program to its end. `show` lets its output through to the terminal, otherwise it is collected.
 * `limit` is in seconds: whoever is still running then is ended, with its children. `watch` gets the output as it comes.
 */
export function run(command, args, { show = false, limit, cwd = root, env = environment(), watch } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = [];
    running.add(child);
    const take = (stream, to) =>
      stream.on('data', (data) => {
        if (show) to.write(data);
        else chunks.push(data);
        watch?.(data.toString());
      });
    take(child.stdout, process.stdout);
    take(child.stderr, process.stderr);
    const timer = limit && setTimeout(() => stop(child, chunks, limit), limit * 1000);
    const end = (code, note) => {
      clearTimeout(timer);
      running.delete(child);
      if (note) chunks.push(Buffer.from(note));
      resolve({ code, output: Buffer.concat(chunks).toString() });
    };
    child.on('error', (error) => end(127, `${command}: ${error.message}\n`));
    child.on('close', (code, signal) => end(code ?? 1, signal === null ? undefined : `ended by ${signal}\n`));
  });
}

function stop(child, chunks, limit) {
  const note = `not done after ${limit} s: ended\n`;
  chunks.push(Buffer.from(note));
  process.stderr.write(note);
  const signal = (name) => {
    try {
      process.kill(-child.pid, name);
    } catch {
      // it has ended meanwhile
    }
  };
  signal('SIGTERM');
  setTimeout(signal, 5000, 'SIGKILL').unref();
}

/** Prints one line for a step when it is done; `work` returns { code, output, note } as `run` does. */
export async function step(title, work) {
  const since = Date.now();
  const result = await work();
  const note = result.note === undefined ? '' : `  ${result.note}`;
  const mark = result.code === 0 ? green('✓') : red('✗');
  console.log(`${mark} ${title.padEnd(34)} ${dim(seconds(since))}${note}`);
  if (result.code !== 0 && result.output) console.log(excerpt(result.output));
  return { title, ...result, took: Date.now() - since };
}

/** A failed step's output, indented; of a very long one the beginning and the end. */
function excerpt(output) {
  const lines = output.trimEnd().split('\n');
  const middle = `... ${lines.length - 120} lines left out ...`;
  const shown = lines.length <= 160 ? lines : [...lines.slice(0, 80), middle, ...lines.slice(-40)];
  return shown.map((line) => `    ${line}`).join('\n');
}

/** Runs a script's main function: a Refusal becomes one sentence, anything else keeps its stack. */
export async function main(work) {
  try {
    process.exitCode = (await work()) || process.exitCode || 0;
  } catch (error) {
    console.error(error instanceof Refusal ? `${red('✗')} ${error.message}` : error);
    process.exitCode = 1;
  }
}
