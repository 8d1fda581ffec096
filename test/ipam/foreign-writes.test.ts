import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { staleEntries } from '../../src/ipam/gc.ts';
import { systemClock } from '../../src/world/clock.ts';
import {
  add,
  memoryFlock,
  release,
  reserved,
  scratchDirectory,
  scratchStore,
  slash24,
  write,
} from './scratch.ts';

describe('what others write', () => {
  test('is seen, whether they add, release or hand an address to somebody else', async () => {
    const directory = scratchDirectory();
    const flock = memoryFlock();
    const [one, other] = [scratchStore(directory, { flock }), scratchStore(directory, { flock })];
    expect(await add(one, slash24, 'a')).toEqual(['10.1.2.2/24']);
    expect(await add(other, slash24, 'b')).toEqual(['10.1.2.3/24']);
    expect(await add(one, slash24, 'c')).toEqual(['10.1.2.4/24']);
    expect(await release(other, 'a')).toEqual(['10.1.2.2']);
    expect(await add(other, slash24, 'd', 'eth0', '10.1.2.2')).toEqual(['10.1.2.2/24']);
    expect(await release(one, 'a')).toEqual([]);
    expect(await release(one, 'd')).toEqual(['10.1.2.2']);
  });

  test('is seen when another process of ours seals within the same millisecond', async () => {
    const directory = scratchDirectory();
    const now = Date.now() + 60_000;
    const world = { flock: memoryFlock(), clock: { ...systemClock, now: () => now } };
    const [one, other] = [scratchStore(directory, world), scratchStore(directory, world)];
    await add(one, slash24, 'a');
    await add(other, slash24, 'b');
    expect(await release(one, 'b')).toEqual(['10.1.2.3']);
  });

  test('is seen also right after our own write, when the kernel’s clock has not ticked', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    for (let i = 0; i < 50; i++) {
      await add(store, slash24, `ours${i}`);
      const name = `10.1.2.${200 + i}`;
      write(directory, name, `theirs${i}\r\neth0`);
      expect(await release(store, `theirs${i}`)).toEqual([name]);
    }
  });

  test('is not looked for when nobody wrote: nothing is listed or read', async () => {
    const directory = scratchDirectory();
    const looks: string[] = [];
    const readdirSync = ((where: string) => (
      looks.push('.'), fs.readdirSync(where)
    )) as typeof fs.readdirSync;
    const openSync = ((file: string, flags: string | number, mode?: number) => {
      if (flags === 'r') looks.push(path.basename(file));
      return fs.openSync(file, flags, mode);
    }) as typeof fs.openSync;
    const store = scratchStore(directory, { files: { ...fs, readdirSync, openSync } });
    for (const id of ['a', 'b', 'c']) await add(store, slash24, id);
    await release(store, 'b');
    await release(store, 'b');
    expect(looks).toEqual(['.']);
    write(directory, '10.1.2.9', 'd');
    await release(store, 'c');
    expect(looks.slice(1, 2)).toEqual(['.']);
    expect(looks).toContain('10.1.2.9');
  });

  test('without the lock does no harm: a taken name is passed over', async () => {
    const directory = scratchDirectory();
    const openSync = ((file: string, flags: string | number, mode?: number) => {
      if (file.endsWith('/10.1.2.2') && flags === 'wx') write(directory, '10.1.2.2', 'thief\r\neth0');
      return fs.openSync(file, flags, mode);
    }) as typeof fs.openSync;
    const store = scratchStore(directory, { files: { ...fs, openSync } });
    expect(await add(store, slash24, 'a')).toEqual(['10.1.2.3/24']);
    expect(await release(store, 'thief')).toEqual(['10.1.2.2']);
  });

  test('on a file system that does not keep times is looked for every time', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory, { files: { ...fs, utimesSync: () => {} } });
    await add(store, slash24, 'a');
    const { atime, mtime } = fs.statSync(directory);
    write(directory, '10.1.2.9', 'b');
    fs.utimesSync(directory, atime, mtime);
    expect(await release(store, 'b')).toEqual(['10.1.2.9']);
  });

  test('a directory that was taken away starts empty', async () => {
    const directory = path.join(scratchDirectory(), 'net');
    const store = scratchStore(directory);
    await add(store, slash24, 'a');
    fs.rmSync(directory, { recursive: true });
    expect(await add(store, slash24, 'a')).toEqual(['10.1.2.2/24']);
  });

  test('names that are no addresses are left alone, and never listed', async () => {
    const directory = scratchDirectory();
    fs.mkdirSync(path.join(directory, 'sub'));
    for (const name of ['sub/10.1.2.9', 'notes', '10.1.2.007', 'FD00::1', '.10.1.2.8'])
      write(directory, name, 'a\r\neth0');
    const store = scratchStore(directory);
    expect(await store.withLock((locked) => locked.entries())).toEqual([]);
    expect(await release(store, 'a')).toEqual([]);
    expect(await store.withLock((locked) => locked.releaseAll(staleEntries(locked.entries(), [])))).toEqual(
      [],
    );
    expect(reserved(directory).toSorted()).toEqual(['.10.1.2.8', '10.1.2.007', 'FD00::1', 'notes', 'sub']);
    expect(fs.existsSync(path.join(directory, 'sub/10.1.2.9'))).toBe(true);
  });
});
