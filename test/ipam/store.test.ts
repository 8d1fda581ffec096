import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  add,
  memoryFlock,
  owner,
  read,
  release,
  reserved,
  scratchDirectory,
  scratchStore,
  setsOf,
  slash24,
  write,
} from './scratch.ts';

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
    expect(read(directory, '10.1.2.2')).toBe('dummy\r\neth0');
    expect(read(directory, '2001:db8:1::2')).toBe('dummy\r\neth0');
    expect(read(directory, 'last_reserved_ip.0')).toBe('10.1.2.2');
    expect(read(directory, 'last_reserved_ip.1')).toBe('2001:db8:1::2');
    for (const name of ['10.1.2.2', 'last_reserved_ip.0']) {
      expect(fs.statSync(path.join(directory, name)).mode & 0o7777).toBe(0o600);
    }
    expect(fs.readdirSync(directory).toSorted()).toEqual(
      ['10.1.2.2', '2001:db8:1::2', 'last_reserved_ip.0', 'last_reserved_ip.1', 'lock'].toSorted(),
    );
    expect(await release(store, 'dummy')).toEqual(['10.1.2.2', '2001:db8:1::2']);
    expect(reserved(directory)).toEqual([]);
    expect(read(directory, 'last_reserved_ip.0')).toBe('10.1.2.2');
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
      expect(read(directory, 'last_reserved_ip.0')).toBe('10.0.0.2');
      fs.rmSync(path.join(directory, '10.0.0.2'));
    }
    write(directory, 'last_reserved_ip.0', '10.0.0.254');
    expect(await add(scratchStore(directory), sets, 'b')).toEqual(['10.0.0.2/24']);
    expect(read(directory, 'last_reserved_ip.0')).toBe('10.0.0.2');
  });

  test('a container’s surrounding white space is trimmed', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    await add(store, slash24, '   dummy\n ');
    expect(read(directory, '10.1.2.2')).toBe('dummy\r\neth0');
    expect(await release(store, ' dummy')).toEqual(['10.1.2.2']);
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
    expect(reserved(directory).toSorted()).toEqual(['10.0.0.2', '10.0.0.3', 'fd00::2', 'fd00::3']);
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
    expect(reserved(directory)).toEqual(['fd00::2']);
  });

  test('the lock is taken once for all', async () => {
    let taken = 0;
    const flock = (_: number, operation: number) => ((taken += operation & 2 ? 1 : 0), 0);
    await add(scratchStore(scratchDirectory(), { flock }), dual, 'a');
    expect(taken).toBe(1);
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
    expect(reserved(directory)).toHaveLength(200);
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
