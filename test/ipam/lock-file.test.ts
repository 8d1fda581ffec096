import fs from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Flock, LockFile, lockLimit } from '../../src/ipam/lock-file.ts';
import { type Clock, systemClock } from '../../src/world/clock.ts';
import { memoryFlock, scratchDirectory } from './scratch.ts';

/** Time that passes only by waiting. */
function jumpingClock(): Clock & { waited: number } {
  const clock = {
    waited: 0,
    now: () => clock.waited,
    monotonic: () => clock.waited,
    after(ms: number, callback: () => void) {
      clock.waited += ms;
      setImmediate(callback);
      return () => {};
    },
  };
  return clock;
}

function lockIn(directory: string, flock: Flock, clock: Clock = systemClock, files = fs): LockFile {
  const lock = new LockFile(directory, { files, flock, clock });
  onTestFinished(() => lock.close());
  return lock;
}

describe('the lock', () => {
  test('is an empty file of mode 0750 in a directory of mode 0755, made when needed', async () => {
    const directory = path.join(scratchDirectory(), 'deep', 'net');
    await lockIn(directory, memoryFlock()).acquire(0);
    const umask = process.umask();
    const { mode, size } = fs.statSync(path.join(directory, 'lock'));
    expect([mode & 0o7777, size]).toEqual([0o750 & ~umask, 0]);
    expect(fs.statSync(directory).mode & 0o7777).toBe(0o755 & ~umask);
  });

  test('excludes another until it is released', async () => {
    const directory = scratchDirectory();
    const flock = memoryFlock();
    const one = lockIn(directory, flock);
    const other = lockIn(directory, flock);
    await one.acquire(0);
    await expect(other.acquire(0)).rejects.toMatchObject({ code: 'LOCKED' });
    one.release();
    await other.acquire(0);
  });

  test('is waited for without blocking, up to the deadline; the error names file and holder', async () => {
    const directory = scratchDirectory();
    const clock = jumpingClock();
    const readFileSync = ((file: string, encoding: BufferEncoding) => {
      if (file !== '/proc/locks') return fs.readFileSync(file, encoding);
      const { ino } = fs.statSync(path.join(directory, 'lock'));
      return `1: POSIX  ADVISORY  WRITE 7 fe:00:${ino} 0 EOF\n2: FLOCK  ADVISORY  WRITE 8 fe:00:1${ino} 0 EOF\n3: FLOCK  ADVISORY  WRITE 4711 fe:00:${ino} 0 EOF\n3: -> FLOCK  ADVISORY  WRITE 9 fe:00:${ino} 0 EOF\n`;
    }) as typeof fs.readFileSync;
    const lock = lockIn(directory, () => -constants.errno.EAGAIN, clock, { ...fs, readFileSync });
    await expect(lock.acquire(lockLimit)).rejects.toMatchObject({
      code: 'LOCKED',
      message: expect.stringContaining(`process 4711 holds the lock ${directory}/lock for more than 10 s`),
    });
    expect(clock.waited).toBeGreaterThanOrEqual(lockLimit);
    expect(clock.waited).toBeLessThan(lockLimit + 20);
  });

  test('that another process has when /proc/locks says nothing', async () => {
    const readFileSync = (() => {
      throw new Error('no /proc');
    }) as unknown;
    const files = { ...fs, readFileSync: readFileSync as typeof fs.readFileSync };
    const lock = lockIn(scratchDirectory(), () => -constants.errno.EAGAIN, jumpingClock(), files);
    await expect(lock.acquire(50)).rejects.toThrow('another process holds the lock');
  });

  test('an error of flock is told', async () => {
    const lock = lockIn(scratchDirectory(), () => -constants.errno.ENOLCK);
    await expect(lock.acquire(0)).rejects.toMatchObject({
      code: 'STORE',
      message: expect.stringContaining('errno 37'),
    });
  });

  test('a directory that was taken away while we waited is not the one that gets locked', async () => {
    const directory = path.join(scratchDirectory(), 'net');
    const flock = memoryFlock();
    const lock = lockIn(directory, flock);
    await lock.acquire(0);
    lock.release();
    fs.rmSync(directory, { recursive: true });
    await lock.acquire(0);
    await expect(lockIn(directory, flock).acquire(0)).rejects.toMatchObject({ code: 'LOCKED' });
  });

  test('a file in the directory’s place is an error that says so', async () => {
    const file = path.join(scratchDirectory(), 'file');
    fs.writeFileSync(file, '');
    await expect(lockIn(path.join(file, 'net'), memoryFlock()).acquire(0)).rejects.toMatchObject({
      code: 'STORE',
      message: expect.stringContaining('move away the file'),
    });
  });
});
