import type fs from 'node:fs';
import path from 'node:path';

type Files = Pick<typeof fs, 'mkdirSync' | 'statSync'>;

/**
 * Makes a directory with those that it is in, unless they are there; answers whether it was made. Throws what mkdir(2) says of the
 * first that cannot be made. Not by Node's recursive mkdir: of a read-only file system that says ENOENT, and in procfs it never ends.
 */
export function makeDirectory(files: Files, directory: string, mode: number): boolean {
  const made = tryMaking(files, directory, mode);
  if (made !== undefined) return made;
  const parent = path.dirname(directory);
  if (parent !== directory) makeDirectory(files, parent, mode);
  const madeNow = tryMaking(files, directory, mode);
  if (madeNow !== undefined) return madeNow;
  throw Object.assign(new Error(`ENOENT: no directory can be made in ${parent}`), { code: 'ENOENT' });
}

/** Undefined: mkdir(2) says that what it is to be in is not there, which some file systems say of all that they do not want. */
function tryMaking(files: Files, directory: string, mode: number): boolean | undefined {
  try {
    files.mkdirSync(directory, { mode });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    if (files.statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) return false;
    throw error;
  }
}
