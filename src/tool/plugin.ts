import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
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

/** The first `dir/type` of CNI_PATH that is a regular file. Throws a {@link Refusal} that lists the directories. */
export function findPlugin(type: string, cniPath: string): string {
  if (type.includes('/')) throw new Refusal(`invalid plugin name ${JSON.stringify(type)}`);
  const found = cniPath
    .split(':')
    .map((directory) => path.join(directory, type))
    .find((program) => statSync(program, { throwIfNoEntry: false })?.isFile() === true);
  if (found === undefined) {
    throw new Refusal(`there is no plugin "${type}" in ${cniPath}: name its directory with --cni-path`);
  }
  return found;
}

/** Runs a plugin as a container runtime does: the variables added to our own environment, the request on stdin. */
export async function runPlugin(
  type: string,
  program: string,
  environment: Readonly<Record<string, string>>,
  request: unknown,
): Promise<PluginRun> {
  const started = performance.now();
  const child = spawn(program, [], { env: { ...process.env, ...environment }, stdio: 'pipe' });
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  child.stdin.on('error', () => {}); // a plugin may end without reading its request
  child.stdin.end(JSON.stringify(request));
  const status = await new Promise<number>((resolve, reject) => {
    child.on('error', (error) => reject(new Refusal(`cannot run ${program}: ${error.message}`)));
    child.on('close', (code) => resolve(code ?? 128));
  });
  const milliseconds = performance.now() - started;
  const reply = parseReply(await stdout);
  return { type, program, environment, request, status, reply, stderr: await stderr, milliseconds };
}

function parseReply(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return { code: 6, msg: 'the plugin printed something that is not one JSON document', details: text };
  }
}

async function collect(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
