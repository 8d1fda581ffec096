import { spawnSync } from 'node:child_process';
import path from 'node:path';

export const programs = path.resolve(import.meta.dirname, '../../build/bin');

/** In a namespace of its own, so that "this node" is the test's. */
export function tool(
  args: string[],
  namespace?: string,
): { status: number | null; stdout: string; stderr: string } {
  const program = [path.join(programs, 'cni-tool'), ...args];
  const [file = '', ...rest] =
    namespace === undefined ? program : ['nsenter', `--net=/run/netns/${namespace}`, ...program];
  return spawnSync(file, rest, { encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' }, timeout: 50_000 });
}
