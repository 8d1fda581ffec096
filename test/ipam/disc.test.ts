import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  add,
  owner,
  read,
  release,
  reserved,
  scratchDirectory,
  scratchStore,
  slash24,
  write,
} from './scratch.ts';

describe('what a crash leaves', () => {
  test.each([
    ['empty', ''],
    ['blank', '\r\n'],
    ['never written to the disc', '\0\0\0\0\0\0'],
    ['half written to the disc', 'dum\0\0\0'],
  ])('I18 an address file that is %s is free', async (_, content) => {
    const directory = scratchDirectory();
    write(directory, '10.1.2.2', content);
    const store = scratchStore(directory);
    expect(await add(store, slash24, 'a')).toEqual(['10.1.2.2/24']);
    expect(read(directory, '10.1.2.2')).toBe('a\r\neth0');
  });

  test('I18 and is removed, so that host-local can have the address as well', async () => {
    const directory = scratchDirectory();
    write(directory, '10.1.2.77', '');
    await scratchStore(directory).withLock(() => {});
    expect(reserved(directory)).toEqual([]);
  });

  test('what cannot be removed or read stays taken', async () => {
    const directory = scratchDirectory();
    fs.mkdirSync(path.join(directory, '10.1.2.2'));
    const store = scratchStore(directory);
    expect(await add(store, slash24, 'a')).toEqual(['10.1.2.3/24']);
    await expect(add(store, slash24, 'b', 'eth0', '10.1.2.2')).rejects.toThrow('is not available');
  });
});

describe('trouble with the disc', () => {
  const failing = (code: string) => Object.assign(new Error(`${code}: as the test wants it`), { code });

  test('a full disc: an error that says so, no file, and the address is free afterwards', async () => {
    const directory = scratchDirectory();
    let full = true;
    const writeSync = ((fd: number, ...rest: [never]) => {
      if (full) throw failing('ENOSPC');
      return fs.writeSync(fd, ...rest);
    }) as typeof fs.writeSync;
    const store = scratchStore(directory, { files: { ...fs, writeSync } });
    await expect(add(store, slash24, 'a')).rejects.toMatchObject({
      code: 'STORE',
      message: expect.stringMatching(
        /^failed to allocate for range 0: cannot reserve 10\.1\.2\.2 in .*ENOSPC.*free some space/,
      ),
    });
    expect(reserved(directory)).toEqual([]);
    full = false;
    expect(await add(store, slash24, 'a')).toEqual(['10.1.2.2/24']);
  });

  test('the pointer cannot be written: the address is given back', async () => {
    const directory = scratchDirectory();
    fs.mkdirSync(path.join(directory, 'last_reserved_ip.0'));
    await expect(add(scratchStore(directory), slash24, 'a')).rejects.toMatchObject({
      code: 'STORE',
      message: expect.stringContaining('last_reserved_ip.0'),
    });
    expect(reserved(directory)).toEqual([]);
  });

  test('a release that fails says so and the address stays taken', async () => {
    const unlinkSync = () => {
      throw failing('EROFS');
    };
    const directory = scratchDirectory();
    const store = scratchStore(directory, { files: { ...fs, unlinkSync } });
    await add(store, slash24, 'a');
    await expect(release(store, 'a')).rejects.toMatchObject({
      code: 'STORE',
      message: expect.stringContaining('10.1.2.2'),
    });
    expect(await store.withLock((locked) => locked.has(owner('a')))).toBe(true);
  });

  test('no descriptors left: nothing is taken for free', async () => {
    const directory = scratchDirectory();
    write(directory, '10.1.2.2', 'a\r\neth0');
    let short = true;
    const openSync = ((file: string, flags: string | number, mode?: number) => {
      if (short && flags === 'r') throw failing('EMFILE');
      return fs.openSync(file, flags, mode);
    }) as typeof fs.openSync;
    const store = scratchStore(directory, { files: { ...fs, openSync } });
    await expect(release(store, 'a')).rejects.toMatchObject({
      code: 'STORE',
      message: expect.stringContaining('EMFILE'),
    });
    short = false;
    expect(await release(store, 'a')).toEqual(['10.1.2.2']);
  });
});
