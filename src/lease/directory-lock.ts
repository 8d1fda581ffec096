import { constants } from 'node:os';
import path from 'node:path';
import { type Clock, sleep } from '../world/clock.ts';
import type { Files } from './lease-files.ts';
import { RegistryError } from './registry.ts';

/** How long other starting nodes may hold the lock, in milliseconds. */
const lockLimit = 10_000;
const pause = 5;
const LOCK_EX_NB = 6;

/**
 * Holds the lock of a directory while `work` runs: flock(2) on the file `.lock`, so a holder that dies lets go of it. It is polled:
 * one that holds it for ever must not stop the event loop. Rejects with a {@link RegistryError} when it is not to be
 * had, with the file system's error, or with what `work` throws.
 */
export async function withDirectoryLock<T>(
  directory: string,
  { files, flock, clock }: { files: Files; flock(fd: number, operation: number): number; clock: Clock },
  work: () => T,
): Promise<T> {
  const file = path.join(directory, '.lock');
  const { O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = files.constants;
  const deadline = clock.monotonic() + lockLimit;
  for (;;) {
    const fd = files.openSync(file, O_CREAT | O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0o644);
    try {
      const result = flock(fd, LOCK_EX_NB);
      const { ino } = files.fstatSync(fd);
      // One that was removed meanwhile, and made anew by another node, is not the lock that counts.
      if (result === 0 && files.statSync(file, { throwIfNoEntry: false })?.ino === ino) return work();
      const busy = [0, -constants.errno.EAGAIN, -constants.errno.EINTR].includes(result);
      if (!busy) {
        throw new RegistryError(
          `cannot lock ${file}: flock failed with errno ${-result}; the file system must have locks`,
        );
      }
    } finally {
      files.closeSync(fd);
    }
    if (clock.monotonic() >= deadline) {
      throw new RegistryError(
        `cannot lock ${file}: another node holds it for more than ${lockLimit / 1000} s; end that process if it hangs`,
      );
    }
    await sleep(clock, pause);
  }
}
