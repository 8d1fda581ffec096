import type fs from 'node:fs';
import path from 'node:path';

/**
 * Makes a directory with those that it is in, unless they are there; answers whether it was made. Throws what mkdir(2) says of the
 * first that cannot be made: of a read-only file system Node's recursive mkdir says ENOENT.
 */
export function makeDirectory(
  files: Pick<typeof fs, 'mkdirSync' | 'statSync'>,
  directory: string,
  mode: number,
): boolean {
  try {
    return files.mkdirSync(directory, { recursive: true, mode }) !== undefined;
  } catch (error) {
    const parent = path.dirname(directory);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === directory) throw error;
    const isThere = files.statSync(parent, { throwIfNoEntry: false }) !== undefined;
    if (!isThere) makeDirectory(files, parent, mode);
    files.mkdirSync(directory, { mode });
    return true;
  }
}
