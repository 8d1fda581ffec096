import fs from 'node:fs';
import type { Clock } from '../world/clock.ts';
import type { Entry, LeaseSink } from './registry.ts';

/** Announcements do not cross hosts on a network file system: everything is read anew as often as this, in milliseconds. */
const rereadInterval = 30_000;
/** While the directory is away: the first wait, and the longest. */
const firstRetry = 500;
const longestRetry = 15_000;

export interface DirectoryWatchOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly sink: LeaseSink;
  /** Undefined when the document is gone. */
  read(id: string): Entry | undefined;
  /** Throws the file system's error. */
  list(): string[];
}

/** Follows a directory of documents: by what the kernel announces, and by looking at all of it now and then. */
export class DirectoryWatch {
  readonly #options: DirectoryWatchOptions;
  #watcher: fs.FSWatcher | undefined;
  #inode = -1;
  #cancel: () => void = () => {};
  #retry = firstRetry;
  #staleSince: number | undefined;
  #closed = false;

  constructor(options: DirectoryWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#readAll();
  }

  close(): void {
    this.#closed = true;
    this.#watcher?.close();
    this.#cancel();
  }

  #readAll(): void {
    const { clock, sink, list, read, directory } = this.#options;
    this.#cancel();
    try {
      this.#follow(fs.statSync(directory).ino);
      const entries = new Map<string, Entry>();
      for (const id of list()) {
        const entry = read(id);
        if (entry !== undefined) entries.set(id, entry);
      }
      if (this.#staleSince !== undefined) sink.stale(undefined);
      this.#staleSince = undefined;
      this.#retry = firstRetry;
      sink.all(entries);
      this.#again(rereadInterval);
    } catch (error) {
      this.#staleSince ??= clock.now();
      sink.stale(this.#staleSince, `cannot read ${directory}: ${(error as Error).message}`);
      this.#again(this.#retry);
      this.#retry = Math.min(2 * this.#retry, longestRetry);
    }
  }

  #again(wait: number): void {
    if (!this.#closed) this.#cancel = this.#options.clock.after(wait, () => this.#readAll());
  }

  /** A directory that was replaced by another of the same name is another one to watch. */
  #follow(inode: number): void {
    if (inode === this.#inode) return;
    this.#watcher?.close();
    this.#watcher = fs.watch(this.#options.directory, (_event, name) => this.#announced(name));
    this.#watcher.on('error', () => this.#lost());
    this.#inode = inode;
  }

  #lost(): void {
    this.#inode = -1;
    if (!this.#closed) this.#readAll();
  }

  #announced(name: string | null): void {
    if (this.#closed) return;
    if (name === null) return this.#readAll();
    if (!name.endsWith('.json') || name.startsWith('.')) {
      // The directory itself was moved or removed, as far as the name tells.
      const now = fs.statSync(this.#options.directory, { throwIfNoEntry: false });
      if (now?.ino !== this.#inode) this.#lost();
      return;
    }
    const id = name.slice(0, -'.json'.length);
    const entry = this.#options.read(id);
    if (entry === undefined) this.#options.sink.gone(id);
    else this.#options.sink.changed(id, entry);
  }
}
