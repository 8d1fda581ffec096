import fs, { closeSync, existsSync, openSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import type { Binding } from '../../native/binding.ts';
import { makeDirectory } from '../world/make-directory.ts';
import { Refusal } from './refusal.ts';

const directory = '/run/netns';

/** Named network namespaces, kept where iproute2 keeps them, so that `ip netns exec NAME` finds them. */
export function namespacePath(name: string): string {
  return path.join(directory, name);
}

/** Throws a {@link Refusal} when the name is taken or the kernel refuses. */
export function createNamespace(binding: Binding, name: string): string {
  const file = namespacePath(name);
  makeDirectory(fs, directory, 0o755);
  if (existsSync(file)) throw new Refusal(`the network namespace ${name} exists already (${file})`);
  closeSync(openSync(file, 'wx', 0o444));
  const result = binding.createNetns(file);
  if (result >= 0) return file;
  rmSync(file, { force: true });
  throw new Refusal(
    `cannot make the network namespace ${name} (errno ${-result}): cni-tool needs root for that`,
  );
}

/** Removes a named namespace; what lives in it goes when its last process does. No error when it is gone. */
export function removeNamespace(name: string): void {
  const file = namespacePath(name);
  spawnSync('umount', ['--lazy', file], { stdio: 'ignore' });
  rmSync(file, { force: true });
}
