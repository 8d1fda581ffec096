import { constants } from 'node:os';
import path from 'node:path';
import { type Clock, sleep } from '../world/clock.ts';
import { makeDirectory } from '../world/make-directory.ts';
import { IpamError, storeError } from './error.ts';
import type { Files } from './files.ts';

/** flock(2): 0, or -errno. `operation` as in <sys/file.h>. */
export type Flock = (fd: number, operation: number) => number;

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** How long a request waits for another process's lock, in milliseconds. */
export const lockLimit = 10_000;
const longestPause = 10;

interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/**
 * The lock that host-local takes: flock(2) on the file `lock` in the network's directory. It is polled,
 * so that a process which holds it for ever stops neither the event loop nor this one's end.
 */
export class LockFile {
  readonly path: string;
  readonly #files: Files;
  readonly #flock: Flock;
  readonly #clock: Clock;
  #open: ({ readonly fd: number } & Identity) | undefined;

  constructor(directory: string, world: { files: Files; flock: Flock; clock: Clock }) {
    this.path = path.join(directory, 'lock');
    this.#files = world.files;
    this.#flock = world.flock;
    this.#clock = world.clock;
  }

  /**
   * Takes the lock; makes the directory and the file when they are not there. Throws an {@link IpamError}
   * `LOCKED`, naming the holder where the kernel tells it, once the clock has passed `deadline`
   * (monotonic, in milliseconds), and `STORE` when the file cannot be opened.
   */
  async acquire(deadline: number): Promise<void> {
    for (let pause = 1; ; pause = Math.min(pause + 1, longestPause)) {
      const lock = (this.#open ??= this.#openFile());
      const result = this.#flock(lock.fd, LOCK_EX | LOCK_NB);
      if (result === 0 && this.#isInPlace(lock)) return;
      if (result === 0) {
        // Somebody took the directory away and put a new one there: the lock that counts is another file.
        this.close();
        continue;
      }
      if (result !== -constants.errno.EAGAIN && result !== -constants.errno.EINTR) {
        throw new IpamError('STORE', `cannot lock ${this.path}: flock failed with errno ${-result}`);
      }
      if (this.#clock.monotonic() >= deadline) throw this.#heldTooLong(lock);
      await sleep(this.#clock, pause);
    }
  }

  release(): void {
    if (this.#open) this.#flock(this.#open.fd, LOCK_UN);
  }

  /** Gives up the descriptor, and with it the lock. */
  close(): void {
    if (this.#open) this.#files.closeSync(this.#open.fd);
    this.#open = undefined;
  }

  #openFile(): { fd: number } & Identity {
    try {
      makeDirectory(this.#files, path.dirname(this.path), 0o755);
      const { O_CREAT, O_RDONLY } = this.#files.constants;
      const fd = this.#files.openSync(this.path, O_CREAT | O_RDONLY, 0o750);
      const { dev, ino } = this.#files.fstatSync(fd, { bigint: true });
      return { fd, dev, ino };
    } catch (error) {
      throw storeError(`cannot open the lock ${this.path}`, error);
    }
  }

  #isInPlace(lock: Identity): boolean {
    const stat = this.#files.statSync(this.path, { bigint: true, throwIfNoEntry: false });
    return stat?.ino === lock.ino && stat.dev === lock.dev;
  }

  #heldTooLong(lock: Identity): IpamError {
    const pid = this.#holder(lock);
    const who = pid === undefined ? 'another process' : `process ${pid}`;
    return new IpamError(
      'LOCKED',
      `cannot hand out or release addresses: ${who} holds the lock ${this.path} for more than ` +
        `${lockLimit / 1000} s; end that process if it hangs, then try again`,
    );
  }

  /** As /proc/locks tells it: `1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF`. */
  #holder(lock: Identity): number | undefined {
    let text: string;
    try {
      text = this.#files.readFileSync('/proc/locks', 'latin1');
    } catch {
      return undefined;
    }
    const found = [...text.matchAll(/^\d+: FLOCK +\S+ +\S+ +(\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /gm)].find(
      ([, , inode]) => inode === String(lock.ino),
    );
    // A holder in a pid namespace that is not ours is shown as 0.
    return found?.[1] === undefined || found[1] === '0' ? undefined : Number(found[1]);
  }
}
