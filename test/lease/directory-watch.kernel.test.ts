import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Entry } from '../../src/lease/registry.ts';
import { sleep, systemClock } from '../../src/world/clock.ts';
import { hurried, registry, scratch, until, write } from './directory-registry.ts';
import { acquire } from './registry-suite.ts';

describe('the directory', () => {
  test('a start reads each document once, and again what has changed meanwhile', async () => {
    const directory = scratch();
    await acquire(registry(directory, 'a'), 1);
    await acquire(registry(directory, 'b'), 2);
    const opened: string[] = [];
    const openSync: typeof fs.openSync = (file, ...how) => {
      if (String(file).endsWith('.json')) opened.push(path.basename(String(file)));
      return fs.openSync(file, ...how);
    };
    const mine = registry(directory, 'me', { files: { ...fs, openSync } });
    await acquire(mine, 3);
    fs.writeFileSync(path.join(directory, 'b.json'), '{}');
    let said: ReadonlyMap<string, Entry> = new Map();
    const stop = mine.watch({ all: (entries) => (said = entries), changed() {}, gone() {}, stale() {} });
    stop();
    expect(opened.filter((name) => name !== 'me.json')).toEqual(['a.json', 'b.json', 'b.json']);
    expect(said.get('a')).toHaveProperty('lease');
    expect(said.get('b')).toHaveProperty('unreadable');
  });

  test('a document that is too long is refused by its length', async () => {
    const directory = scratch();
    await acquire(registry(directory, 'a'), 1);
    fs.writeFileSync(path.join(directory, 'big.json'), ' '.repeat(100_000));
    let said: unknown;
    const stop = registry(directory, 'me').watch({
      all: (entries) => (said = entries.get('big')),
      changed() {},
      gone() {},
      stale() {},
    });
    stop();
    expect(said).toEqual({ unreadable: expect.stringContaining('100000 bytes') });
  });

  test('a pipe, a directory and odd names in it are named, and stop nobody', async () => {
    const directory = scratch();
    await acquire(registry(directory, 'a'), 1);
    execFileSync('mkfifo', [path.join(directory, 'pipe.json')]);
    fs.mkdirSync(path.join(directory, 'folder.json'));
    write(directory, 'x\n\u001b[2J', '{}');
    const told = await listOf(directory);
    expect([...told.keys()].toSorted()).toEqual([JSON.stringify('x\n\u001b[2J'), 'a', 'folder', 'pipe']);
    expect(told.get('pipe')).toEqual({ unreadable: 'it is no file' });
    expect(told.get(JSON.stringify('x\n\u001b[2J'))).toEqual({
      unreadable: expect.stringContaining('no node’s name'),
    });
    expect(told.get('a')).toHaveProperty('lease');
  });

  test('a document that is being written in place is not believed before it is whole', async () => {
    const directory = scratch();
    await acquire(registry(directory, 'a'), 1);
    const file = path.join(directory, 'a.json');
    const text = fs.readFileSync(file, 'utf8');
    const said: Entry[] = [];
    const stop = registry(directory, 'me').watch({
      all() {},
      changed: (_id, entry) => said.push(entry),
      gone: () => said.push({ unreadable: 'gone' }),
      stale() {},
    });
    onTestFinished(stop);
    fs.writeFileSync(file, '');
    await sleep(systemClock, 20);
    fs.appendFileSync(file, text.slice(0, 40));
    await sleep(systemClock, 20);
    fs.appendFileSync(file, text.slice(40));
    await until(() => said.length > 0);
    await sleep(systemClock, 150);
    expect(said.every((entry) => 'lease' in entry)).toBe(true);
  });

  test('changes that nobody announces are seen by comparing', async () => {
    const directory = scratch();
    await acquire(registry(directory, 'a'), 1);
    await acquire(registry(directory, 'b'), 2);
    // As on a network file system, or when the user's watches are used up.
    const deaf = {
      ...fs,
      watch: (() => {
        throw new Error('ENOSPC');
      }) as unknown as typeof fs.watch,
    };
    const clock = hurried(50);
    const entries = new Map<string, Entry>();
    const stop = registry(directory, 'me', { files: deaf, clock }).watch({
      all: (all) => all.forEach((entry, id) => entries.set(id, entry)),
      changed: (id, entry) => entries.set(id, entry),
      gone: (id) => entries.delete(id),
      stale() {},
    });
    onTestFinished(stop);
    await acquire(registry(directory, 'c'), 3);
    fs.rmSync(path.join(directory, 'a.json'));
    await until(() => entries.has('c') && !entries.has('a'));
    expect([...entries.keys()]).toEqual(['b', 'c']);
  });

  test('a directory that becomes a link to itself is named, and does not end the daemon', async () => {
    const directory = scratch();
    await acquire(registry(directory, 'a'), 1);
    let told = 0;
    let why = '';
    const stop = registry(directory, 'me').watch({
      all: () => told++,
      changed() {},
      gone() {},
      stale: (_since, reason = '') => (why = reason),
    });
    onTestFinished(stop);
    fs.renameSync(directory, `${directory}.away`);
    fs.symlinkSync('leases', directory);
    fs.writeFileSync(path.join(`${directory}.away`, '.news'), '');
    await until(() => why.includes('ELOOP'));
    expect(told).toBe(1);
    fs.rmSync(directory);
    fs.renameSync(`${directory}.away`, directory);
    await until(() => told === 2 && why === '');
  });

  test('a file system that falls silent is named until it answers, and nobody is forgotten', async () => {
    const directory = scratch();
    await acquire(registry(directory, 'a'), 1);
    let speak = () => {};
    const silence = new Promise<void>((resolve) => (speak = resolve));
    const stat = ((...args: Parameters<typeof fs.promises.stat>) =>
      silence.then(() => fs.promises.stat(...args))) as typeof fs.promises.stat;
    const files = { ...fs, promises: { ...fs.promises, stat } };
    const clock = hurried(500);
    const said: (string | undefined)[] = [];
    let count = 0;
    const stop = registry(directory, 'me', { files, clock }).watch({
      all: () => count++,
      changed() {},
      gone: () => said.push('gone'),
      stale: (_since, why) => said.push(why),
    });
    onTestFinished(stop);
    await until(() => said.length > 0);
    expect(said[0]).toMatch(/the file system does not answer/);
    expect(count).toBe(1);
    speak();
    await until(() => said.at(-1) === undefined);
    expect(said).not.toContain('gone');
  });
});

async function listOf(directory: string): Promise<ReadonlyMap<string, Entry>> {
  let told: ReadonlyMap<string, Entry> | undefined;
  const stop = registry(directory, 'me').watch({
    all: (entries) => (told = entries),
    changed() {},
    gone() {},
    stale() {},
  });
  await until(() => told !== undefined);
  stop();
  return told ?? new Map<string, Entry>();
}
