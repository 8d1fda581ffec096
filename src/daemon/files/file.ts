import fs, {
  chmodSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { Log } from '../../world/log.ts';
import { makeDirectory } from '../../world/make-directory.ts';

/**
 * Replaces a file whole or not at all, by a new one in the same directory, with exactly these modes
 * whatever the umask; directories that exist keep theirs. Throws the error of node:fs.
 */
export function writeWhole(file: string, text: string, mode: { file: number; directory: number }): void {
  const directory = path.dirname(file);
  const isNew = makeDirectory(fs, directory, mode.directory);
  // The umask narrows the mode of what mkdir makes.
  if (isNew) chmodSync(directory, mode.directory);
  const fresh = path.join(directory, `.${path.basename(file)}.${process.pid}`);
  try {
    const fd = openSync(fresh, 'w', mode.file);
    try {
      fchmodSync(fd, mode.file);
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, file);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}

/** A file that is there and cannot be read is as good as none; it is told. */
export function textOf(file: string, log: Log): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    log.warn({ file }, `${file} cannot be read and is left out: ${(error as Error).message}`);
    return undefined;
  }
}
