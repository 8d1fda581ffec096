import { spawn } from 'node:child_process';

/** A program that prints what happens, in a namespace, such as `ip monitor`. */
export interface Watch {
  /** It listens. */
  readonly ready: Promise<void>;
  /** Ends it and answers what it printed. */
  stop(): Promise<string>;
}

/** A socket that is told at once is quick; the rest is the start of a program. */
const startTime = 150;
const lastWords = 50;

export function watch(netns: string, command: readonly string[]): Watch {
  const child = spawn('ip', ['netns', 'exec', netns, ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  return {
    ready: pause(startTime),
    async stop() {
      await pause(lastWords);
      child.kill();
      await ended;
      return printed;
    },
  };
}

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
