import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { command } from './command.ts';

export const repository = path.resolve(import.meta.dirname, '../..');
export const cache = path.join(repository, '.cache/lab');

/** One of the C programs beside this file, compiled. */
export function binary(name: 'pause' | 'recorder'): Promise<string> {
  return compiled(path.join(import.meta.dirname, `${name}.c`));
}

/**
 * Compiles a C program of one file, statically, and keeps the result in .cache under the source's hash. Nodes that start
 * together may compile it each: the last rename wins, and all are the same.
 */
export async function compiled(source: string): Promise<string> {
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12);
  const file = path.join(cache, `${path.basename(source, '.c')}-${hash}`);
  if (existsSync(file)) return file;
  mkdirSync(cache, { recursive: true });
  const partial = `${file}.${randomUUID()}`;
  await command('gcc', ['-static', '-O2', '-s', '-Wall', '-Wextra', '-Werror', '-o', partial, source]);
  renameSync(partial, file);
  return file;
}
