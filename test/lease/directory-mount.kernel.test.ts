import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { sleep, systemClock } from '../../src/world/clock.ts';
import { hurried, registry, scratch, until, write } from './directory-registry.ts';
import { acquire, Seen } from './registry-suite.ts';

describe('the directory', () => {
  test('a file system that is not mounted any more is away, and nobody is forgotten', async () => {
    const directory = scratch();
    fs.mkdirSync(directory);
    const mount = () => execFileSync('mount', ['-t', 'tmpfs', 'none', directory]);
    const umount = () => execFileSync('umount', ['--lazy', directory]);
    mount();
    await acquire(registry(directory, 'a'), 1);
    const told: number[] = [];
    let why = '';
    const clock = hurried(100);
    const me = registry(directory, 'me', { clock });
    const stop = me.watch({
      all: (entries) => told.push(entries.size),
      changed() {},
      gone: () => told.push(0),
      stale: (_since, reason = '') => (why = reason),
    });
    onTestFinished(stop);
    umount();
    await until(() => why.includes('is it mounted?'));
    expect(told).toEqual([1]);
    await expect(acquire(me, 3)).rejects.toThrow(/^cannot take a lease in .*is it mounted\?/);
    // As from a start before the first mount.
    write(directory, 'me', '{}');
    await expect(acquire(me, 3)).rejects.toThrow('is it mounted?');
    // The longest wait between two tries.
    await sleep(systemClock, 200);
    expect(told).toEqual([1]);
    mount();
    onTestFinished(() => void umount());
    await acquire(registry(directory, 'b'), 2);
    await until(() => told.length === 2 && why === '');
    expect(told).toEqual([1, 1]);
    expect((await acquire(me, 3)).id).toBe('me');
  });

  test('nor when the place below has the same inode number', async () => {
    const directory = scratch();
    fs.mkdirSync(directory);
    const mount = () => execFileSync('mount', ['-t', 'tmpfs', 'none', directory]);
    const umount = () => execFileSync('umount', ['--lazy', directory]);
    mount();
    onTestFinished(() => void umount());
    const { ino } = fs.statSync(directory);
    mount();
    expect(fs.statSync(directory).ino).toBe(ino);
    await acquire(registry(directory, 'a'), 1);
    const clock = hurried(300);
    const seen = new Seen();
    onTestFinished(registry(directory, 'me', { clock }).watch(seen));
    umount();
    await seen.until(() => seen.calls.length > 1 || seen.staleSince !== undefined);
    expect([seen.calls, seen.why]).toEqual([['all'], expect.stringContaining('is it mounted?')]);
  });

  test('the place of a file system that is mounted after a first start is left for it', async () => {
    const directory = scratch();
    const clock = hurried(50);
    const me = registry(directory, 'me', { clock });
    await acquire(me, 1);
    const told: string[][] = [];
    const stop = me.watch({
      all: (entries) => told.push([...entries.keys()]),
      changed() {},
      gone() {},
      stale() {},
    });
    onTestFinished(stop);
    execFileSync('mount', ['-t', 'tmpfs', 'none', directory]);
    onTestFinished(() => void execFileSync('umount', ['--lazy', directory]));
    await acquire(registry(directory, 'a'), 2);
    await until(() => told.length === 2);
    expect(told).toEqual([['me'], ['a']]);
    expect((await acquire(me, 1)).id).toBe('me');
  });

  test('an empty directory is not believed by a node that knows of peers, before it has seen better', async () => {
    const directory = scratch();
    const clock = hurried(50);
    const me = registry(directory, 'me', { clock, knowsPeers: () => true });
    await expect(acquire(me, 1)).rejects.toThrow(/it is empty.*is it mounted\?.*state\.json/);
    const seen = new Seen();
    onTestFinished(me.watch(seen));
    expect([seen.calls, seen.why]).toEqual([[], expect.stringContaining('is it mounted?')]);
    await acquire(registry(directory, 'a'), 2);
    await seen.until(() => seen.staleSince === undefined && seen.lease('a') !== undefined);
    expect((await acquire(me, 1)).id).toBe('me');
    fs.rmSync(path.join(directory, 'me.json'));
    fs.rmSync(path.join(directory, 'a.json'));
    await seen.until(() => seen.entries.size === 0);
    expect((await acquire(me, 1)).id).toBe('me');
  });
});
