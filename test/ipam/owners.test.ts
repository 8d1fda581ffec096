import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { staleEntries } from '../../src/ipam/gc.ts';
import { add, owner, release, reserved, scratchDirectory, scratchStore, slash24, write } from './scratch.ts';

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
    expect(reserved(directory)).toEqual(['10.1.2.2']);
    expect(await add(store, slash24, 'dummy2')).toEqual(['10.1.2.3/24']);
  });

  test('I15 two interfaces of one container; each is released alone', async () => {
    const directory = scratchDirectory();
    const store = scratchStore(directory);
    expect(await add(store, slash24, 'dummy', 'eth0')).toEqual(['10.1.2.2/24']);
    expect(await add(store, slash24, 'dummy', 'eth1')).toEqual(['10.1.2.3/24']);
    expect(await release(store, 'dummy', 'eth0')).toEqual(['10.1.2.2']);
    expect(reserved(directory)).toEqual(['10.1.2.3']);
  });

  test('I16 a file of the old format counts, blocks a second ADD and is released', async () => {
    const directory = scratchDirectory();
    write(directory, '10.1.2.2', 'dummy\n');
    const store = scratchStore(directory);
    expect(await store.withLock((locked) => locked.has(owner('dummy')))).toBe(true);
    await expect(add(store, slash24, 'dummy')).rejects.toMatchObject({ code: 'DUPLICATE' });
    expect(await release(store, 'dummy')).toEqual(['10.1.2.2']);
    expect(reserved(directory)).toEqual([]);
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
