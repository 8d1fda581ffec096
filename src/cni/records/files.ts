import fs, {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { storeError } from '../../ipam/error.ts';
import { makeDirectory } from '../../world/make-directory.ts';
import { expectRegularFile } from '../../world/regular-file.ts';

/** The few things that the verbs do with files; passed in. What they do not name is thrown. */
export interface Files {
  /** Undefined when there is none. */
  read(file: string): string | undefined;
  /** The same of a file that a request names, and that may be anything. Throws for what is no regular file when it is first seen. */
  readGiven(file: string): string | undefined;
  /** Whole or not at all, for root alone (0600); makes its directory (0700). */
  write(file: string, text: string): void;
  /** Throws when no file could be made in that directory, or itself not where it is missing. Makes nothing. */
  expectWritable(directory: string): void;
  /** False when there was none. */
  remove(file: string): boolean;
  /** Whether something is there, a directory for example. */
  has(file: string): boolean;
  /** When it was written, in milliseconds since the epoch; undefined when there is none. */
  modified(file: string): number | undefined;
  /** The names in a directory; none when it does not exist. */
  list(directory: string): string[];
}

/** The files of this machine. What cannot be read or written is an IpamError `STORE` that says what to do. */
export const machineFiles: Files = {
  read: (file) => named(`cannot read ${file}`, () => unlessMissing(() => readFileSync(file, 'utf8'))),
  readGiven(file) {
    named(`cannot read ${file}`, () => unlessMissing(() => expectRegular(file)));
    return this.read(file);
  },
  write: (file, text) => named(`cannot write ${file}`, () => write(file, text)),
  expectWritable: (directory) => named(`cannot write in ${directory}`, () => expectWritable(directory)),
  remove(file) {
    // What a writer left that was killed.
    const rest = unfinished(file);
    ifThere(rest, () => unlinkSync(rest));
    return ifThere(file, () => (unlinkSync(file), true)) ?? false;
  },
  has: existsSync,
  modified: (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs,
  list: (directory) => unlessMissing(() => readdirSync(directory)) ?? [],
};

/** Files that requests name are few, and the same ones: those of each network. */
const maxRegular = 256;
const regular = new Set<string>();

/** Looks only once: a subnet file is read at each ADD. */
function expectRegular(file: string): void {
  if (regular.has(file)) return;
  expectRegularFile(file);
  if (regular.size >= maxRegular) regular.clear();
  regular.add(file);
}

/** A dot in front keeps it from being taken for a container's file. Two requests of one container never write at once. */
const unfinished = (file: string): string => path.join(path.dirname(file), `.${path.basename(file)}`);

function write(file: string, text: string): void {
  const fresh = unfinished(file);
  const save = () => writeFileSync(fresh, text, { mode: 0o600 });
  try {
    if (unlessMissing(() => (save(), true)) === undefined) {
      makeDirectory(fs, path.dirname(file), 0o700);
      save();
    }
    renameSync(fresh, file);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}

function expectWritable(directory: string): void {
  try {
    // The dot is a directory's: a file in its place is ENOTDIR.
    accessSync(`${directory}/.`, constants.W_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    expectWritable(path.dirname(directory));
  }
}

function named<T>(tried: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw storeError(tried, error);
  }
}

/** To look first takes a tenth of the time that an exception takes. */
const ifThere = <T>(file: string, action: () => T): T | undefined =>
  unlessMissing(() => (lstatSync(file, { throwIfNoEntry: false }) === undefined ? undefined : action()));

function unlessMissing<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}
