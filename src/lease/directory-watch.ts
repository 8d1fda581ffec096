import type { FSWatcher, Stats } from 'node:fs';
import path from 'node:path';
import type { Clock } from '../world/clock.ts';
import { type Files, idOf, isDocument, type LeaseFile, type LeaseFiles, signatureOf } from './lease-files.ts';
import type { MountGuard } from './mount-guard.ts';
import type { Entry, LeaseSink } from './registry.ts';

/** Announcements do not cross hosts on a network file system: all is compared as often as this, in milliseconds. */
const compareInterval = 30_000;
/** The same when the kernel has no watch left to give. */
const pollInterval = 2_000;
/** While the directory is away: the first wait, and the longest. */
const firstRetry = 500;
const longestRetry = 15_000;
/** A document that is gone or makes no sense may just be being written: so long later it counts. */
const settleTime = 100;
/** How many files are asked about at once. */
const slice = 64;

export interface DirectoryWatchOptions {
  readonly documents: LeaseFiles;
  /** What was read of them a moment ago, by name. */
  readonly known: ReadonlyMap<string, LeaseFile>;
  readonly guard: MountGuard;
  readonly files: Files;
  readonly clock: Clock;
  readonly sink: LeaseSink;
}

/**
 * Follows a directory of documents: by what the kernel announces, and by comparing all of it now and then. The comparison never
 * blocks: a network file system may not answer for minutes.
 */
export class DirectoryWatch {
  readonly #documents: LeaseFiles;
  readonly #guard: MountGuard;
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #sink: LeaseSink;
  /** What was told, by the name of the document: its signature. */
  readonly #told = new Map<string, string>();
  /** Documents that are looked at again in a moment. */
  readonly #unsettled = new Map<string, () => void>();
  /** See {@link DirectoryWatchOptions.known}; let go after the first look. */
  #known: ReadonlyMap<string, LeaseFile>;
  #watcher: FSWatcher | undefined;
  /** Of the directory that is watched. */
  #identity = '';
  #cancel: () => void = () => {};
  #retry = firstRetry;
  #staleSince: number | undefined;
  #closed = false;

  constructor({ documents, known, guard, files, clock, sink }: DirectoryWatchOptions) {
    this.#known = known;
    this.#documents = documents;
    this.#guard = guard;
    this.#files = files;
    this.#clock = clock;
    this.#sink = sink;
  }

  start(): void {
    this.#readAll();
  }

  close(): void {
    this.#closed = true;
    this.#watcher?.close();
    this.#cancel();
    for (const cancel of this.#unsettled.values()) cancel();
  }

  #readAll(): void {
    if (this.#closed) return;
    this.#cancel();
    try {
      const stat = this.#files.statSync(this.#documents.directory);
      this.#follow(identityOf(stat));
      const names = this.#documents.list();
      this.#guard.check(stat.dev, names);
      this.#guard.trust(stat.dev, this.#told);
      const entries = new Map<string, Entry>();
      this.#told.clear();
      for (const name of names) {
        const file = this.#documents.read(name, this.#known.get(name));
        if (file === undefined) continue;
        entries.set(idOf(name), file.entry);
        this.#told.set(name, file.signature);
        if ('unreadable' in file.entry) this.#settle(name);
      }
      this.#known = new Map();
      if (this.#staleSince !== undefined) this.#sink.stale(undefined);
      this.#staleSince = undefined;
      this.#retry = firstRetry;
      this.#sink.all(entries);
      this.#compareLater();
    } catch (error) {
      this.#away((error as Error).message);
      this.#cancel = this.#clock.after(this.#retry, () => this.#readAll());
      this.#retry = Math.min(2 * this.#retry, longestRetry);
    }
  }

  #away(why: string): void {
    this.#staleSince ??= this.#clock.now();
    this.#sink.stale(this.#staleSince, `cannot read ${this.#documents.directory}: ${why}`);
  }

  #compareLater(): void {
    const interval = this.#watcher === undefined ? pollInterval : compareInterval;
    this.#cancel = this.#clock.after(interval, () => {
      this.#cancel = this.#clock.after(compareInterval, () => this.#away('the file system does not answer'));
      this.#compare().then(
        () => this.#compared(),
        () => this.#readAll(),
      );
    });
  }

  #compared(): void {
    if (this.#closed) return;
    this.#cancel();
    if (this.#staleSince === undefined) this.#compareLater();
    else this.#readAll();
  }

  /** Rejects when the directory cannot be read, or is another one. */
  async #compare(): Promise<void> {
    const { promises } = this.#files;
    const { directory } = this.#documents;
    if (identityOf(await promises.stat(directory)) !== this.#identity) throw new Error('another directory');
    const names = (await promises.readdir(directory)).filter(isDocument);
    for (let at = 0; at < names.length; at += slice) {
      await Promise.all(
        names.slice(at, at + slice).map(async (name) => {
          const stat = await promises.stat(path.join(directory, name)).catch(() => undefined);
          if (stat === undefined || signatureOf(stat) !== this.#told.get(name)) this.#look(name);
        }),
      );
    }
    const present = new Set(names);
    for (const name of this.#told.keys()) if (!present.has(name)) this.#look(name);
  }

  /** A directory that was replaced by another of the same name is another one to watch. */
  #follow(identity: string): void {
    if (identity === this.#identity && this.#watcher !== undefined) return;
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#identity = identity;
    try {
      this.#watcher = this.#files.watch(this.#documents.directory, (_event, name) => this.#announced(name));
      this.#watcher.on('error', () => this.#lost());
    } catch {
      // The user's watches are used up: it is polled.
    }
  }

  #lost(): void {
    this.#identity = '';
    this.#readAll();
  }

  #announced(name: string | null): void {
    if (this.#closed) return;
    if (name !== null && isDocument(name)) return this.#look(name);
    // The directory itself was moved or removed, as far as the name tells.
    if (this.#identityNow() !== this.#identity) this.#lost();
  }

  /** Undefined: it is gone, or not to be seen, which reading it will explain. */
  #identityNow(): string | undefined {
    try {
      return identityOf(this.#files.statSync(this.#documents.directory));
    } catch {
      return undefined;
    }
  }

  #look(name: string): void {
    if (this.#closed) return;
    const file = this.#documents.read(name);
    if (file === undefined || 'unreadable' in file.entry) this.#settle(name);
    else this.#tell(name, file);
  }

  #settle(name: string): void {
    if (this.#unsettled.has(name)) return;
    const look = () => {
      this.#unsettled.delete(name);
      this.#tell(name, this.#documents.read(name));
    };
    this.#unsettled.set(name, this.#clock.after(settleTime, look));
  }

  #tell(name: string, file: LeaseFile | undefined): void {
    if (file?.signature === this.#told.get(name)) return;
    if (file === undefined) {
      this.#told.delete(name);
      this.#sink.gone(idOf(name));
    } else {
      this.#told.set(name, file.signature);
      this.#sink.changed(idOf(name), file.entry);
    }
  }
}

/** The roots of file systems often have one inode number. */
const identityOf = ({ dev, ino }: Stats): string => `${dev} ${ino}`;
