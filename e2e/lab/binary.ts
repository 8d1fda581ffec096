import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { command } from './command.ts';

export const repository = path.resolve(import.meta.dirname, '../..');
export const cache = path.join(repository, '.cache/lab');

/** Compiles one of the C files beside this one, statically, and keeps the result in .cache under the source's hash. */
export async function binary(name: 'pause' | 'recorder'): Promise<string> {
  const source = path.join(import.meta.dirname, `${name}.c`);
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12);
  const file = path.join(cache, `${name}-${hash}`);
  if (existsSync(file)) return file;
  mkdirSync(cache, { recursive: true });
  const partial = `${file}.${process.pid}`;
  await command('gcc', ['-static', '-Os', '-s', '-Wall', '-Wextra', '-Werror', '-o', partial, source]);
  renameSync(partial, file);
  return file;
}
