import type fs from 'node:fs';
import path from 'node:path';
import type { Prefix } from '../net/prefix.ts';
import { leaseDocument, parseLeaseDocument, subnetsNamed } from './document.ts';
import type { Lease } from './lease.ts';
import type { Entry } from './registry.ts';

/** What this room asks of a file system: node:fs itself, or one that fails on purpose. */
export type Files = Pick<
  typeof fs,
  | 'closeSync'
  | 'constants'
  | 'fstatSync'
  | 'fsyncSync'
  | 'mkdirSync'
  | 'openSync'
  | 'promises'
  | 'readSync'
  | 'readdirSync'
  | 'renameSync'
  | 'rmSync'
  | 'statSync'
  | 'watch'
  | 'writeFileSync'
>;

/** A document longer than this, in bytes, is no lease. */
const maxDocument = 64 * 1024;

/** A document as it was read. */
export interface LeaseFile {
  readonly entry: Entry;
  /** The subnets that can still be made out in a document that is unreadable. */
  readonly named: readonly Prefix[];
  /** Differs when the file does. */
  readonly signature: string;
}

/** The documents of a directory, one `<node>.json` a node. Everybody who may write there is untrusted. */
export class LeaseFiles {
  readonly directory: string;
  readonly #files: Files;

  constructor(directory: string, files: Files) {
    this.directory = directory;
    this.#files = files;
  }

  /** The names of the documents. Throws the file system's error. */
  list(): string[] {
    return this.#files.readdirSync(this.directory).filter(isDocument);
  }

  /**
   * Undefined when there is none. Throws nothing: what cannot be read is an entry that says so. `known` is the answer again when
   * the file is as it was then: to ask for that costs a quarter of reading it.
   */
  read(name: string, known?: LeaseFile): LeaseFile | undefined {
    try {
      if (known !== undefined && signatureOf(this.#files.statSync(this.#pathOf(name))) === known.signature)
        return known;
      return this.#read(name);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return code === 'ENOENT' ? undefined : unreadable(`it cannot be read: ${message}`, String(code));
    }
  }

  /** Whether the lease's document is in place, to the last byte. */
  holds(lease: Lease): boolean {
    const wanted = Buffer.from(leaseDocument(lease));
    try {
      return this.#open(
        documentOf(lease.id),
        (fd, { size }) => size === wanted.length && wanted.equals(this.#bytes(fd, size)),
      );
    } catch {
      return false;
    }
  }

  /** Puts the lease in place whole or not at all, for good. Throws the file system's error. */
  write(lease: Lease): void {
    const files = this.#files;
    const fresh = path.join(this.directory, `.${lease.id}.new`);
    // Left from a crash, or somebody's link to a file that is none of ours.
    files.rmSync(fresh, { force: true });
    try {
      files.writeFileSync(fresh, leaseDocument(lease), { mode: 0o644, flag: 'wx', flush: true });
      files.renameSync(fresh, this.#pathOf(documentOf(lease.id)));
    } catch (error) {
      files.rmSync(fresh, { force: true });
      throw error;
    }
    const fd = files.openSync(this.directory, files.constants.O_RDONLY);
    try {
      files.fsyncSync(fd);
    } finally {
      files.closeSync(fd);
    }
  }

  #read(name: string): LeaseFile {
    return this.#open(name, (fd, stat) => {
      const signature = signatureOf(stat);
      if (!isNodeName(nodeOf(name))) return unreadable('the name of its file is no node’s name', signature);
      if (!stat.isFile()) return unreadable('it is no file', signature);
      if (stat.size > maxDocument) {
        return unreadable(`the document has ${stat.size} bytes; ${maxDocument} are allowed`, signature);
      }
      const bytes = this.#bytes(fd, stat.size);
      const entry = parseLeaseDocument(nodeOf(name), bytes);
      return { entry, named: 'unreadable' in entry ? subnetsNamed(bytes) : [], signature };
    });
  }

  #open<T>(name: string, use: (fd: number, stat: fs.Stats) => T): T {
    const { O_NONBLOCK, O_RDONLY } = this.#files.constants;
    // A pipe without a writer must not stop the daemon.
    const fd = this.#files.openSync(this.#pathOf(name), O_RDONLY | O_NONBLOCK);
    try {
      return use(fd, this.#files.fstatSync(fd));
    } finally {
      this.#files.closeSync(fd);
    }
  }

  #bytes(fd: number, size: number): Uint8Array {
    const buffer = new Uint8Array(size);
    return buffer.subarray(0, this.#files.readSync(fd, buffer, 0, size, 0));
  }

  #pathOf(name: string): string {
    return `${this.directory}/${name}`;
  }
}

const unreadable = (reason: string, signature: string): LeaseFile => ({
  entry: { unreadable: reason },
  named: [],
  signature,
});

/** Of a replaced file the inode differs, of one that was written in place the times. */
export const signatureOf = ({ ino, size, mtimeMs, ctimeMs }: fs.Stats): string =>
  `${ino} ${size} ${mtimeMs} ${ctimeMs}`;

export const isDocument = (name: string): boolean => name.endsWith('.json') && !name.startsWith('.');

/** Whether a node's name can be a file's: 250 characters and `.json` are as long as file systems allow. */
export const isNodeName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,249}$/.test(name);

export const documentOf = (node: string): string => `${node}.json`;

const nodeOf = (name: string): string => name.slice(0, -'.json'.length);

/** Whose document it is, for registries' users; what can be no node's name is escaped, for it will be printed. */
export const idOf = (name: string): string =>
  isNodeName(nodeOf(name)) ? nodeOf(name) : JSON.stringify(nodeOf(name)).replace(/[\u007f-\uffff]/g, '?');
