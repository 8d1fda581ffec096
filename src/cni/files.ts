import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** The few things that the verbs do with files; passed in. All throw the error of node:fs for what they do not name. */
export interface Files {
  /** Undefined when there is none. */
  read(file: string): string | undefined;
  /** Whole or not at all, for root alone (0600); makes its directory (0700). */
  write(file: string, text: string): void;
  /** False when there was none. */
  remove(file: string): boolean;
  /** The names in a directory; none when it does not exist. */
  list(directory: string): string[];
}

/** The files of this machine. */
export const machineFiles: Files = {
  read: (file) => unlessMissing(() => readFileSync(file, 'utf8')),
  write(file, text) {
    // A dot in front keeps it from being taken for a container's file; requests of one container never meet.
    const fresh = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}`);
    const save = () => writeFileSync(fresh, text, { mode: 0o600 });
    try {
      if (unlessMissing(() => (save(), true)) === undefined) {
        mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
        save();
      }
      renameSync(fresh, file);
    } catch (error) {
      rmSync(fresh, { force: true });
      throw error;
    }
  },
  remove: (file) => unlessMissing(() => (rmSync(file), true)) ?? false,
  list: (directory) => unlessMissing(() => readdirSync(directory)) ?? [],
};

function unlessMissing<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
