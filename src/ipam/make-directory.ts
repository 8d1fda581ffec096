import path from 'node:path';
import { errnoOf } from './error.ts';
import type { Files } from './files.ts';

/**
 * Makes a directory with those that it is in, unless they are there. Throws what mkdir(2) says of the first that cannot be made:
 * of a read-only file system Node's recursive mkdir says ENOENT.
 */
export function makeDirectory(
  files: Pick<Files, 'mkdirSync' | 'statSync'>,
  directory: string,
  mode: number,
): void {
  try {
    files.mkdirSync(directory, { recursive: true, mode });
  } catch (error) {
    const parent = path.dirname(directory);
    if (errnoOf(error) !== 'ENOENT' || parent === directory) throw error;
    const isThere = files.statSync(parent, { throwIfNoEntry: false }) !== undefined;
    if (isThere) files.mkdirSync(directory, { mode });
    else makeDirectory(files, parent, mode);
  }
}
