import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { staleEntries } from '../../src/ipam/gc.ts';
import type { RangeSet } from '../../src/ipam/range-set.ts';
import type { Store } from '../../src/ipam/store.ts';
import { address } from '../../src/net/address.ts';
import { systemClock } from '../../src/world/clock.ts';
import { memoryFlock, owner, scratchDirectory, scratchStore, setsOf } from './scratch.ts';

const add = (store: Store, sets: readonly RangeSet[], id: string, ifname?: string, ...requested: string[]) =>
  store.withLock((locked) =>
    locked.allocate(sets, owner(id, ifname), requested.map(address)).map((each) => each.address),
  );
const release = (store: Store, id: string, ifname?: string) =>
  store.withLock((locked) => locked.release(owner(id, ifname)));
const text = (directory: string, name: string) => fs.readFileSync(path.join(directory, name), 'utf8');
const write = (directory: string, name: string, content: string) =>
  fs.writeFileSync(path.join(directory, name), content);
/** The addresses that have files. */
const files = (directory: string) =>
  fs.readdirSync(directory).filter((name) => name !== 'lock' && !name.startsWith('last_reserved_ip.'));
const slash24 = setsOf(['10.1.2.0/24']);
const slash29 = setsOf(['10.0.0.0/29']);

describe('handing out', () => {
  test('I01 the first address is .2, with the subnet’s length and the gateway; I02, I03 the files’ bytes', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    const sets = setsOf(['10.1.2.0/24', '10.2.2.0/24'], ['2001:db8:1::/64']);
    expect(await store.withLock((locked) => locked.allocate(sets, owner('dummy')))).toEqual([
      { address: '10.1.2.2/24', gateway: '10.1.2.1' },
      { address: '2001:db8:1::2/64', gateway: '2001:db8:1::1' },
    ]);
    expect(text(directory, '10.1.2.2')).toBe('dummy\r\neth0');
    expect(text(directory, '2001:db8:1::2')).toBe('dummy\r\neth0');
    expect(text(directory, 'last_reserved_ip.0')).toBe('10.1.2.2');
    expect(text(directory, 'last_reserved_ip.1')).toBe('2001:db8:1::2');
    for (const name of ['10.1.2.2', 'last_reserved_ip.0']) {
      expect(fs.statSync(path.join(directory, name)).mode & 0o7777).toBe(0o600);
    }
    expect(fs.readdirSync(directory).toSorted()).toEqual(
      ['10.1.2.2', '2001:db8:1::2', 'last_reserved_ip.0', 'last_reserved_ip.1', 'lock'].toSorted(),
    );
    expect(await release(store, 'dummy')).toEqual(['10.1.2.2', '2001:db8:1::2']);
    expect(files(directory)).toEqual([]);
    expect(text(directory, 'last_reserved_ip.0')).toBe('10.1.2.2');
  });

  test('I04 goes on after the last one when it was released, across restarts too', async () => {
    const directory = scratchDirectory();
    const first = scratchStore(directory);
    expect(await add(first, slash29, 'a')).toEqual(['10.0.0.2/29']);
    await release(first, 'a');
    expect(await add(first, slash29, 'a')).toEqual(['10.0.0.3/29']);
    await release(first, 'a');
    expect(await add(scratchStore(directory), slash29, 'a')).toEqual(['10.0.0.4/29']);
  });

  test('I05 wraps and skips the gateway; I07 never hands out the broadcast address; I06 says when it is full', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    write(directory, 'last_reserved_ip.0', '10.0.0.4');
    const got: string[] = [];
    for (const id of ['a', 'b', 'c', 'd', 'e']) got.push(...(await add(store, slash29, id)));
    expect(got).toEqual(['10.0.0.5/29', '10.0.0.6/29', '10.0.0.2/29', '10.0.0.3/29', '10.0.0.4/29']);
    await expect(add(store, slash29, 'f')).rejects.toMatchObject({
      code: 'EXHAUSTED',
      message: 'failed to allocate for range 0: no IP addresses available in range set: 10.0.0.1-10.0.0.6',
    });
    expect(store.usage(slash29)).toEqual([{ used: 5, free: 0, total: 5 }]);
  });

  test('I06 names every range of a full set', async () => {
    const store = scratchStore(scratchDirectory());
    const sets = setsOf(['10.0.0.0/30', '10.0.1.0/30']);
    expect(await add(store, sets, 'a')).toEqual(['10.0.0.2/30']);
    expect(await add(store, sets, 'b')).toEqual(['10.0.1.2/30']);
    await expect(add(store, sets, 'c')).rejects.toThrow(
      'no IP addresses available in range set: 10.0.0.1-10.0.0.2,10.0.1.1-10.0.1.2',
    );
  });

  test('a pointer that cannot be read or lies elsewhere starts over; a shorter one leaves nothing of the longer', async () => {
    const directory = scratchDirectory();
    const sets = setsOf(['10.0.0.0/24']);
    for (const content of ['', 'rubbish', '10.9.9.9']) {
      write(directory, 'last_reserved_ip.0', content);
      expect(await add(scratchStore(directory), sets, `a${content}`)).toEqual(['10.0.0.2/24']);
      expect(text(directory, 'last_reserved_ip.0')).toBe('10.0.0.2');
      fs.rmSync(path.join(directory, '10.0.0.2'));
    }
    write(directory, 'last_reserved_ip.0', '10.0.0.254');
    expect(await add(scratchStore(directory), sets, 'b')).toEqual(['10.0.0.2/24']);
    expect(text(directory, 'last_reserved_ip.0')).toBe('10.0.0.2');
  });

  test('a container’s surrounding white space is trimmed', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    await add(store, slash24, '   dummy\n ');
    expect(text(directory, '10.1.2.2')).toBe('dummy\r\neth0');
    expect(await release(store, ' dummy')).toEqual(['10.1.2.2']);
  });
});

describe('requested addresses', () => {
  const dual = setsOf(['10.1.2.0/24', '10.1.3.0/24'], ['2001:db8:1::/48']);

  test('I12 each goes to the set that holds it', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    expect(await add(store, slash24, 'a', 'eth0', '10.1.2.88')).toEqual(['10.1.2.88/24']);
    expect(text(directory, 'last_reserved_ip.0')).toBe('10.1.2.88');
    expect(await add(store, dual, 'b', 'eth0', '2001:db8:1::999', '10.1.3.77')).toEqual([
      '10.1.3.77/24',
      '2001:db8:1::999/48',
    ]);
    expect(await add(store, dual, 'c', 'eth0', '2001:db8:1::99a')).toEqual([
      '10.1.3.78/24',
      '2001:db8:1::99a/48',
    ]);
  });

  test('I13 the gateway', async () => {
    await expect(
      add(scratchStore(scratchDirectory()), slash24, 'a', 'eth0', '10.1.2.1'),
    ).rejects.toMatchObject({
      code: 'REQUESTED',
      message: "failed to allocate for range 0: requested ip 10.1.2.1 is subnet's gateway",
    });
  });

  test('I13 a taken one', async () => {
    const store = scratchStore(scratchDirectory());
    await add(store, slash24, 'a', 'eth0', '10.1.2.5');
    await expect(add(store, slash24, 'b', 'eth0', '10.1.2.5')).rejects.toThrow(
      'failed to allocate for range 0: requested IP address 10.1.2.5 is not available in range set 10.1.2.1-10.1.2.254',
    );
  });

  test('I13 one of no range, and a second of one set: nothing stays behind', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    await expect(add(store, dual, 'a', 'eth0', '10.1.2.9', '10.1.3.9', '10.7.7.7')).rejects.toMatchObject({
      code: 'REQUESTED',
      message: 'failed to allocate all requested IPs: 10.1.3.9 10.7.7.7',
    });
    expect(files(directory)).toEqual([]);
  });

  test('I13 the bounds of the range count', async () => {
    const { parseRangeSets } = await import('../../src/ipam/range-set.ts');
    const single = { subnet: '10.1.2.0/24', rangeStart: '10.1.2.3', rangeEnd: '10.1.2.4' };
    const sets = parseRangeSets({ single, cniVersion: '1.0.0' });
    for (const asked of ['10.1.2.2', '10.1.2.5']) {
      await expect(add(scratchStore(scratchDirectory()), sets, 'a', 'eth0', asked)).rejects.toThrow(
        `failed to allocate all requested IPs: ${asked}`,
      );
    }
  });
});

describe('owners', () => {
  test('I14 a repeated ADD is refused and changes nothing; another container gets the next address', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    await add(store, slash24, 'dummy');
    await expect(add(store, slash24, 'dummy')).rejects.toMatchObject({
      code: 'DUPLICATE',
      message:
        'failed to allocate for range 0: 10.1.2.2 has been allocated to dummy, duplicate allocation is not allowed',
    });
    expect(files(directory)).toEqual(['10.1.2.2']);
    expect(await add(store, slash24, 'dummy2')).toEqual(['10.1.2.3/24']);
  });

  test('I15 two interfaces of one container; each is released alone', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    expect(await add(store, slash24, 'dummy', 'eth0')).toEqual(['10.1.2.2/24']);
    expect(await add(store, slash24, 'dummy', 'eth1')).toEqual(['10.1.2.3/24']);
    expect(await release(store, 'dummy', 'eth0')).toEqual(['10.1.2.2']);
    expect(files(directory)).toEqual(['10.1.2.3']);
  });

  test('I16 a file of the old format counts, blocks a second ADD and is released', async () => {
    const directory = scratchDirectory();
    write(directory, '10.1.2.2', 'dummy\n');
    const store = scratchStore(directory);
    expect(await store.withLock((locked) => locked.has(owner('dummy')))).toBe(true);
    await expect(add(store, slash24, 'dummy')).rejects.toMatchObject({ code: 'DUPLICATE' });
    expect(await release(store, 'dummy')).toEqual(['10.1.2.2']);
    expect(files(directory)).toEqual([]);
  });

  test('a file of the old format stays while the interface has one of its own', async () => {
    const directory = scratchDirectory();
    write(directory, '10.1.2.2', 'dummy');
    write(directory, '10.1.2.3', 'dummy\r\neth0');
    const store = scratchStore(directory);
    expect(await release(store, 'dummy')).toEqual(['10.1.2.3']);
    expect(await release(store, 'dummy')).toEqual(['10.1.2.2']);
    expect(await release(store, 'dummy')).toEqual([]);
  });

  test('CHECK finds this interface, and no other', async () => {
    const store = scratchStore(scratchDirectory());
    await add(store, slash24, 'dummy', 'eth0');
    expect(
      await store.withLock((locked) => [locked.has(owner('dummy')), locked.has(owner('dummy', 'eth1'))]),
    ).toEqual([true, false]);
  });
});

describe('two families', () => {
  const dual = setsOf(['10.0.0.0/29'], ['fd00::/126']);

  test('all or none: when the second set is full, the first gives its address back', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    await add(store, dual, 'a');
    await add(store, dual, 'b');
    await expect(add(store, dual, 'c')).rejects.toThrow(
      'failed to allocate for range 1: no IP addresses available in range set: fd00::1-fd00::3',
    );
    expect(files(directory).toSorted()).toEqual(['10.0.0.2', '10.0.0.3', 'fd00::2', 'fd00::3']);
    expect(store.usage(dual)).toEqual([
      { used: 2, free: 3, total: 5 },
      { used: 2, free: 0, total: 2 },
    ]);
  });

  test('a failing ADD leaves alone what the same interface held before', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    write(directory, 'fd00::2', 'a\r\neth0');
    await expect(add(store, dual, 'a', 'eth0', '10.0.0.5')).rejects.toMatchObject({ code: 'DUPLICATE' });
    expect(files(directory)).toEqual(['fd00::2']);
  });

  test('the lock is taken once for all', async () => {
    let taken = 0;
    const flock = (_: number, operation: number) => ((taken += operation & 2 ? 1 : 0), 0);
    await add(scratchStore(scratchDirectory(), { flock }), dual, 'a');
    expect(taken).toBe(1);
  });
});

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

  test('is not looked for when nobody wrote: no file is read', async () => {
    const directory = scratchDirectory();
    let listed = 0;
    const readdirSync = ((where: string) => (listed++, fs.readdirSync(where))) as typeof fs.readdirSync;
    const store = scratchStore(directory, { files: { ...fs, readdirSync } });
    for (const id of ['a', 'b', 'c']) await add(store, slash24, id);
    await release(store, 'b');
    await release(store, 'b');
    expect(listed).toBe(1);
    write(directory, '10.1.2.9', 'd');
    await release(store, 'c');
    expect(listed).toBe(2);
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
    expect(files(directory)).toHaveLength(5 + 1 - 1);
  });
});

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
    expect(text(directory, '10.1.2.2')).toBe('a\r\neth0');
  });

  test('I18 and is removed, so that host-local can have the address as well', async () => {
    const directory = scratchDirectory();
    write(directory, '10.1.2.77', '');
    await scratchStore(directory).withLock(() => {});
    expect(files(directory)).toEqual([]);
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
    expect(files(directory)).toEqual([]);
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
    expect(files(directory)).toEqual([]);
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

describe('many at once', () => {
  test('A34 a hundred in one process and two stores: all distinct', async () => {
    const directory = scratchDirectory();
    const flock = memoryFlock();
    const stores = [scratchStore(directory, { flock }), scratchStore(directory, { flock })];
    const got = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        stores.map((store, s) => add(store, slash24, `c${s}-${i}`)),
      ).flat(),
    );
    expect(new Set(got.flat()).size).toBe(200);
    expect(files(directory)).toHaveLength(200);
  });

  test('an error in one request does not stop the next, and gives the lock back', async () => {
    const directory = scratchDirectory();
    const flock = memoryFlock();
    const store = scratchStore(directory, { flock });
    const failed = store.withLock(() => {
      throw new Error('as the test wants it');
    });
    const next = add(store, slash24, 'a');
    await expect(failed).rejects.toThrow('as the test wants it');
    expect(await next).toEqual(['10.1.2.2/24']);
    expect(await add(scratchStore(directory, { flock }), slash24, 'b')).toEqual(['10.1.2.3/24']);
  });
});

describe('clearing up', () => {
  test('entries carry the time of their file', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    await add(store, slash24, 'a');
    fs.utimesSync(path.join(directory, '10.1.2.2'), 1_000_000, 1_000_000);
    expect(await store.withLock((locked) => locked.entries())).toEqual([
      { address: '10.1.2.2', containerID: 'a', ifname: 'eth0', modified: 1_000_000_000 },
    ]);
  });

  test('G05 what is stale goes; lock and pointers stay', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    for (const id of ['a', 'b']) await add(store, slash24, id);
    await store.withLock((locked) => locked.releaseAll(staleEntries(locked.entries(), [owner('b')])));
    expect(fs.readdirSync(directory).toSorted()).toEqual(['10.1.2.3', 'last_reserved_ip.0', 'lock']);
  });

  test('an entry that has changed hands since it was judged is not released', async () => {
    const store = scratchStore(scratchDirectory());
    await add(store, slash24, 'a');
    const judged = await store.withLock((locked) => locked.entries());
    await release(store, 'a');
    await add(store, slash24, 'b', 'eth0', '10.1.2.2');
    expect(await store.withLock((locked) => locked.releaseAll(judged))).toEqual([]);
    expect(await store.withLock((locked) => locked.has(owner('b')))).toBe(true);
  });
});

describe('I20 the number of reserved addresses', () => {
  test('changes nothing about what an ADD asks of the file system, with 10,000 in use', async () => {
    const calls = async (used: number) => {
      const directory = scratchDirectory();
      for (let i = 0; i < used; i++) write(directory, `10.4.${i >> 8}.${i & 255}`, `c${i}\r\neth0`);
      let count = 0;
      const counted = Object.fromEntries(
        Object.entries(fs).map(([name, value]) => [
          name,
          typeof value === 'function'
            ? (...args: never[]) => (count++, (value as (...args: never[]) => unknown)(...args))
            : value,
        ]),
      ) as unknown as typeof fs;
      const store = scratchStore(directory, { files: counted });
      const sets = setsOf(['10.4.0.0/16']);
      await add(store, sets, 'first');
      count = 0;
      await add(store, sets, 'second');
      return count;
    };
    expect(await calls(10_000)).toBe(await calls(0));
    // A busy disk is slow with 10,000 files.
  }, 90_000);
});
