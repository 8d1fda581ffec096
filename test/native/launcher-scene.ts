import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Netns } from '../kit/netns.ts';
import {
  AHEAD,
  type Conversation,
  type Done,
  doneOf,
  FakeDaemon,
  REPLY,
  reply,
  WORK,
  work,
} from './fake-daemon.ts';
import { isAsleep } from './proc.ts';

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a daemon does with one launcher's connection. */
export type Talk = (conversation: Conversation) => Promise<void>;

/**
 * A runtime that tells how it was started, in place of node, whose options it passes over; and what the commands in
 * ALSO_TELL print.
 */
const runtime = `#!/bin/sh
while [ "\${1#--}" != "$1" ]; do shift; done
echo "stand-alone $(basename "$1") $# $(wc -c | tr -d ' ') $CNI_COMMAND $FLANNELD_SOCKET"
eval "$ALSO_TELL"
exit 7
`;

/** The installed programs, which stay while the tests of a file run. Their runtime is a fake, and so is their daemon. */
export function launcherScene() {
  const directory = mkdtempSync(path.join(tmpdir(), 'fl-launcher-'));
  const launcher = path.join(directory, 'bin', 'flannel');
  const socket = path.join(directory, 'flanneld.sock');
  beforeAll(() => install(path.join(directory, 'bin')));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** Runs the launcher to its end, with a daemon or without one. */
  const launch = (env: Record<string, string>, stdin: string | Buffer = '{}'): Promise<Outcome> =>
    execute([launcher], { PATH: '/usr/bin:/bin', FLANNELD_SOCKET: socket, ...env }, stdin);

  /** An ADD for a pod, called from a namespace that is not this process's. */
  const launchInside = (host: Netns, pod: Netns): Promise<Outcome> => {
    const cni = { CNI_COMMAND: 'ADD', CNI_NETNS: pod.path };
    const env = { PATH: process.env['PATH'] ?? '', FLANNELD_SOCKET: socket, ...cni };
    return execute(['ip', 'netns', 'exec', host.name, launcher], env, '{}');
  };

  const withDaemon = <T>(talk: Talk, use: () => Promise<T>): Promise<T> => listen(socket, talk, use);

  /** What the daemon hears after it has handed out a script with a reply, and how the launcher ended. */
  async function worked(
    script: Buffer,
    env: Record<string, string>,
    { ahead = [], run = () => launch({ CNI_COMMAND: 'ADD', ...env }) }: Errand = {},
  ): Promise<Done & { outcome: Outcome }> {
    let done: Done | undefined;
    const talk = beginning(async (conversation) => {
      for (const payload of ahead) await conversation.send(AHEAD, payload);
      await conversation.send(WORK, work(script, reply(0, 'result', 'note')));
      done = doneOf(await conversation.next());
      await conversation.send(REPLY, reply(1, 'undone')).catch(() => {}); // the launcher may be gone
    });
    const outcome = await withDaemon(talk, run);
    if (done === undefined) throw new Error(`no DONE: ${JSON.stringify(outcome)}`);
    return { ...done, outcome };
  }

  return { directory, launcher, socket, launch, launchInside, withDaemon, worked };
}

interface Errand {
  /** The payloads of AHEAD that come first. */
  readonly ahead?: readonly Buffer[];
  /** In place of the launcher's ADD. */
  readonly run?: () => Promise<Outcome>;
}

/** How {@link launcherScene}'s `worked` ends: all was done and the reply is printed, or something failed. */
export const printed: Outcome = { status: 0, stdout: 'result', stderr: 'note' };
export const undone: Outcome = { status: 1, stdout: 'undone', stderr: '' };

function install(bin: string): void {
  mkdirSync(path.join(bin, 'flannelette'), { recursive: true });
  for (const program of ['flannel', 'flanneld', 'cni-tool'])
    copyFileSync(`build/bin/${program}`, path.join(bin, program));
  writeFileSync(path.join(bin, 'flannelette', 'node'), runtime, { mode: 0o755 });
  for (const file of ['flannel.js', 'flannel.cjs', 'cni-tool.js', 'cni-tool.cjs'])
    writeFileSync(path.join(bin, 'flannelette', file), '');
}

/** Runs a program to its end. `stdin` undefined: an input that stays open. */
export function execute(
  program: readonly string[],
  env: Record<string, string>,
  stdin?: string | Buffer,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const [file = '', ...args] = program;
    const child = spawn(file, args, { env, stdio: 'pipe' });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
    child.stdin.on('error', () => undefined); // the launcher may stop reading
    if (stdin !== undefined) child.stdin.end(stdin);
    child.on('error', reject).on('close', (status) => {
      child.stdin.destroy();
      resolve({ status, ...output });
    });
  });
}

/** What goes wrong in a talk fails the test whose talk it is, and not whichever runs by then. */
async function listen<T>(socket: string, talk: Talk, use: () => Promise<T>): Promise<T> {
  const talks: Promise<void>[] = [];
  const daemon = new FakeDaemon(socket, (conversation) => {
    const talked = talk(conversation);
    talks.push(talked);
    return talked.catch(() => {}); // told below
  });
  try {
    const result = await use();
    await Promise.all(talks);
    return result;
  } finally {
    daemon.close();
    rmSync(socket);
  }
}

/**
 * Stops a launcher for so long; what is sent meanwhile it finds afterwards. Only one that waits already looks at what came
 * before it looks at the time.
 */
export async function whileStopped(
  pid: number,
  milliseconds: number,
  send: () => Promise<void>,
): Promise<void> {
  await expect.poll(() => isAsleep(pid), { interval: 1, timeout: 20_000 }).toBe(true);
  process.kill(pid, 'SIGSTOP');
  await send();
  await sleep(milliseconds);
  process.kill(pid, 'SIGCONT');
}

/** A daemon that takes the request and begins before it does `rest`. */
export function beginning(rest: Talk): Talk {
  return async (conversation) => {
    await conversation.next();
    expect(conversation.claim()).toBe(true);
    await rest(conversation);
  };
}
