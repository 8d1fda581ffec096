import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { Refusal } from './refusal.ts';

/** One run of a CNI plugin: what went in, what came out, how long the whole process took. */
export interface PluginRun {
  readonly type: string;
  readonly program: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly request: unknown;
  readonly status: number;
  /** The one JSON document of standard output; undefined when it was empty. */
  readonly reply: unknown;
  readonly stderr: string;
  readonly milliseconds: number;
}

/** What a shell answers for a program that cannot be started. */
const notStarted = 127;

/** The first `dir/type` of CNI_PATH that is a regular file. Throws a {@link Refusal} that says where it was looked for. */
export function findPlugin(type: string, cniPath: string): string {
  if (type.includes('/')) throw new Refusal(`invalid plugin name ${JSON.stringify(type)}`);
  const found = cniPath
    .split(':')
    .map((directory) => path.join(directory, type))
    .find((program) => statSync(program, { throwIfNoEntry: false })?.isFile() === true);
  if (found === undefined) {
    throw new Refusal(`there is no plugin "${type}" in ${cniPath}: name its directory with --cni-path`);
  }
  requireExecutable(found);
  return found;
}

function requireExecutable(program: string): void {
  try {
    accessSync(program, constants.X_OK);
  } catch {
    throw new Refusal(`${program} is not executable: install it anew, or "chmod 755" it`);
  }
}

/**
 * Runs a plugin as a container runtime does: the variables added to our own environment, the request on stdin. One that
 * cannot be started has failed like any other: what ran before it has to be undone.
 */
export async function runPlugin(
  type: string,
  program: string,
  environment: Readonly<Record<string, string>>,
  request: unknown,
): Promise<PluginRun> {
  const started = performance.now();
  const env = { ...process.env, ...environment };
  const end = await runToEnd(program, env, JSON.stringify(request)).catch(({ message }: Error) => {
    const reply = { code: 999, msg: `cannot run ${program}: ${message}` };
    return { status: notStarted, reply, stderr: '' };
  });
  const milliseconds = performance.now() - started;
  return { type, program, environment, request, ...end, milliseconds };
}

/** Rejects with an Error when it cannot be started. */
function runToEnd(
  program: string,
  env: NodeJS.ProcessEnv,
  input: string,
): Promise<Pick<PluginRun, 'status' | 'reply' | 'stderr'>> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [], { env, stdio: 'pipe' });
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({ status: code ?? 128, reply: parseReply(output.stdout), stderr: output.stderr }),
    );
    child.stdin.on('error', () => {}); // a plugin may end without reading its request
    child.stdin.end(input);
  });
}

function parseReply(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return { code: 6, msg: 'the plugin printed something that is not one JSON document', details: text };
  }
}
