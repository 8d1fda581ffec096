import { execFile, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { DirectoryRegistry, type DirectoryRegistryOptions } from '../../src/lease/directory.ts';
import type { Entry } from '../../src/lease/registry.ts';
import { address } from '../../src/net/address.ts';
import { type Clock, sleep, systemClock } from '../../src/world/clock.ts';
import {
  acquire,
  allocationSuite,
  type RegistryKit,
  registrySuite,
  Seen,
  suiteNetwork,
} from './registry-suite.ts';

const root = path.resolve(import.meta.dirname, '../..');
const binding = loadBinding();
const ranges = {
  ipv4: { length: 24, min: address('10.244.1.0'), max: address('10.244.255.0') },
  ipv6: { length: 64, min: address('fd00:244:0:1::'), max: address('fd00:244:0:ff::') },
};

function scratch(): string {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-leases-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }));
  return path.join(directory, 'leases');
}

const registry = (
  directory: string,
  node: string,
  some = ranges,
  world: Partial<DirectoryRegistryOptions> = {},
) =>
  new DirectoryRegistry({
    directory,
    node,
    ranges: some,
    files: fs,
    flock: (fd, operation) => binding.flock(fd, operation),
    clock: systemClock,
    knowsPeers: () => false,
    ...world,
  });

describe('the directory', () => {
  const kit = (): RegistryKit => {
    const directory = scratch();
    return {
      node: (name) => registry(directory, name),
      spoil(name) {
        fs.writeFileSync(path.join(directory, `${name}.json`), '{"Subnet":');
        return name;
      },
      remove: (id) => fs.rmSync(path.join(directory, `${id}.json`)),
      away() {
        fs.renameSync(directory, `${directory}.away`);
        fs.writeFileSync(directory, 'no directory');
      },
      back() {
        fs.rmSync(directory);
        fs.renameSync(`${directory}.away`, directory);
      },
    };
  };
  registrySuite(kit);
  allocationSuite(kit);

  test('keeps documents that people can read, and nothing else', async () => {
    const directory = scratch();
    const { subnet } = await acquire(registry(directory, 'node-1'), 1);
    expect(fs.readdirSync(directory).toSorted()).toEqual(['.lock', 'node-1.json']);
    expect(fs.readFileSync(path.join(directory, 'node-1.json'), 'utf8')).toContain(`"Subnet": "${subnet}"`);
  });

  test.each(['', '..', 'a/b', '.hidden', 'x'.repeat(300)])('refuses the node name %j', (name) => {
    expect(() => registry('/tmp/none', name)).toThrow(/--node-name/);
  });

  test('says that no subnet is free', async () => {
    const directory = scratch();
    const one = { ...ranges, ipv4: { length: 24, min: address('10.244.1.0'), max: address('10.244.1.0') } };
    await acquire(registry(directory, 'a', one), 1);
    await expect(acquire(registry(directory, 'b', one), 2)).rejects.toThrow(
      /no subnet of 10\.244\.0\.0\/16 is free/,
    );
    expect(fs.existsSync(path.join(directory, 'b.json'))).toBe(false);
  });

  test('says that it cannot be written', async () => {
    const directory = scratch();
    fs.writeFileSync(directory, 'a file');
    await expect(acquire(registry(directory, 'a'), 1)).rejects.toThrow(/cannot take a lease in .*leases/);
  });

  test('a process that is killed with the lock held holds nobody up', async () => {
    const directory = scratch();
    fs.mkdirSync(directory);
    const holder = spawn('flock', [path.join(directory, '.lock'), 'sleep', '60'], {
      detached: true,
      stdio: 'ignore',
    });
    const acquired = acquire(registry(directory, 'a'), 1);
    setTimeout(() => process.kill(-(holder.pid ?? 0), 'SIGKILL'), 200);
    expect((await acquired).id).toBe('a');
  });

  test('a start reads each document once, and again what has changed meanwhile', async () => {
    const directory = scratch();
    await acquire(registry(directory, 'a'), 1);
    await acquire(registry(directory, 'b'), 2);
    const opened: string[] = [];
    const openSync: typeof fs.openSync = (file, ...how) => {
      if (String(file).endsWith('.json')) opened.push(path.basename(String(file)));
      return fs.openSync(file, ...how);
    };
    const mine = registry(directory, 'me', ranges, { files: { ...fs, openSync } });
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

  test('a node keeps the subnet in which its pods are, whoever else claims it', async () => {
    const directory = scratch();
    const { subnet } = await acquire(registry(directory, 'a'), 1);
    write(directory, 'liar', `{"Subnet":"${subnet}","PublicIP":"192.0.2.9"}`);
    expect((await acquire(registry(directory, 'a'), 1, subnet)).subnet).toBe(subnet);
  });

  test('a document that is a copy of another’s gives no right to its subnet', async () => {
    const directory = scratch();
    const { subnet } = await acquire(registry(directory, 'a'), 1);
    fs.copyFileSync(path.join(directory, 'a.json'), path.join(directory, 'b.json'));
    expect((await acquire(registry(directory, 'b'), 2)).subnet).not.toBe(subnet);
  });

  test('what a damaged document names is not given away; a claim on everything takes nothing', async () => {
    const directory = scratch();
    fs.mkdirSync(directory);
    write(directory, 'damaged', '{"Subnet":"10.244.1.0/24","PublicIP":');
    write(directory, 'greedy', '{"Subnet":"10.0.0.0/8","PublicIP":"192.0.2.9"}');
    write(directory, 'whole', '{"Subnet":"10.244.0.0/16","PublicIP":"192.0.2.10"}');
    expect((await acquire(registry(directory, 'a'), 1)).subnet).toBe('10.244.2.0/24');
  });

  test('what is there already is not written again', async () => {
    const directory = scratch();
    await acquire(registry(directory, 'a'), 1);
    const before = fs.statSync(path.join(directory, 'a.json'));
    await acquire(registry(directory, 'a'), 1);
    const { ino, mtimeMs } = fs.statSync(path.join(directory, 'a.json'));
    expect([ino, mtimeMs]).toEqual([before.ino, before.mtimeMs]);
    await acquire(registry(directory, 'a'), 7);
    expect(fs.statSync(path.join(directory, 'a.json')).ino).not.toBe(before.ino);
  });

  test('a link that somebody laid in the way of the new document is not followed', async () => {
    const directory = scratch();
    const target = `${directory}.target`;
    fs.mkdirSync(directory);
    fs.writeFileSync(target, 'precious');
    fs.symlinkSync(target, path.join(directory, '.a.new'));
    await acquire(registry(directory, 'a'), 1);
    expect(fs.readFileSync(target, 'utf8')).toBe('precious');
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

  test('eight processes that start at once have eight subnets', async () => {
    const directory = scratch();
    const children = Array.from({ length: 8 }, (_, i) => acquireInProcess(directory, `node-${i}`, i + 1));
    const subnets = await Promise.all(children);
    expect(new Set(subnets).size).toBe(8);
    expect(subnets.every((subnet) => /^10\.244\.\d+\.0\/24$/.test(subnet))).toBe(true);
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
    const hurried: Clock = { ...systemClock, after: (ms, call) => systemClock.after(ms / 50, call) };
    const entries = new Map<string, Entry>();
    const stop = registry(directory, 'me', ranges, { files: deaf, clock: hurried }).watch({
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

  test('a file system that is not mounted any more is away, and nobody is forgotten', async () => {
    const directory = scratch();
    fs.mkdirSync(directory);
    const mount = () => execFileSync('mount', ['-t', 'tmpfs', 'none', directory]);
    const umount = () => execFileSync('umount', ['--lazy', directory]);
    mount();
    await acquire(registry(directory, 'a'), 1);
    const told: number[] = [];
    let why = '';
    const hurried = {
      ...systemClock,
      after: (ms: number, call: () => void) => systemClock.after(ms / 100, call),
    };
    const me = registry(directory, 'me', ranges, { clock: hurried });
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
    const hurried: Clock = { ...systemClock, after: (ms, call) => systemClock.after(ms / 300, call) };
    const seen = new Seen();
    onTestFinished(registry(directory, 'me', ranges, { clock: hurried }).watch(seen));
    umount();
    await seen.until(() => seen.calls.length > 1 || seen.staleSince !== undefined);
    expect([seen.calls, seen.why]).toEqual([['all'], expect.stringContaining('is it mounted?')]);
  });

  test('the place of a file system that is mounted after a first start is left for it', async () => {
    const directory = scratch();
    const hurried: Clock = { ...systemClock, after: (ms, call) => systemClock.after(ms / 50, call) };
    const me = registry(directory, 'me', ranges, { clock: hurried });
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
    const hurried: Clock = { ...systemClock, after: (ms, call) => systemClock.after(ms / 50, call) };
    const me = registry(directory, 'me', ranges, { clock: hurried, knowsPeers: () => true });
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

  test('a file system that falls silent is named, and nobody is forgotten', async () => {
    const directory = scratch();
    await acquire(registry(directory, 'a'), 1);
    let silent = true;
    const stat = ((...args: Parameters<typeof fs.promises.stat>) =>
      silent ? new Promise(() => {}) : fs.promises.stat(...args)) as typeof fs.promises.stat;
    const files = { ...fs, promises: { ...fs.promises, stat } };
    const hurried: Clock = { ...systemClock, after: (ms, call) => systemClock.after(ms / 500, call) };
    const said: (string | undefined)[] = [];
    let count = 0;
    const stop = registry(directory, 'me', ranges, { files, clock: hurried }).watch({
      all: () => count++,
      changed() {},
      gone: () => said.push('gone'),
      stale: (_since, why) => said.push(why),
    });
    onTestFinished(stop);
    await until(() => said.length > 0);
    expect(said[0]).toMatch(/the file system does not answer/);
    expect(said).not.toContain('gone');
    silent = false;
    expect(count).toBe(1);
  });

  test.each([
    ['ENOSPC', /no space.*make room/],
    ['EROFS', /must be able to write/],
  ])('%s is told with what to do, and leaves nothing', async (code, why) => {
    const directory = scratch();
    const files = {
      ...fs,
      writeFileSync: (() => {
        throw Object.assign(new Error(`${code}: no space or right`), { code });
      }) as typeof fs.writeFileSync,
    };
    await expect(acquire(registry(directory, 'a', ranges, { files }), 1)).rejects.toThrow(why);
    expect(fs.readdirSync(directory)).toEqual(['.lock']);
  });

  test('a lock that is held for ever is given up, and named', async () => {
    const directory = scratch();
    const clock: Clock = {
      ...systemClock,
      after: (_ms, call) => systemClock.after(0, call),
      monotonic: () => (time += 500),
    };
    let time = 0;
    const busy = registry(directory, 'a', ranges, { clock, flock: () => -constants.errno.EAGAIN });
    await expect(acquire(busy, 1)).rejects.toThrow(/\.lock: another node holds it for more than 10 s/);
  });
});

const write = (directory: string, node: string, text: string) =>
  fs.writeFileSync(path.join(directory, `${node}.json`), text);

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

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > 10_000) throw new Error(`it did not come to this: ${condition.toString()}`);
    await sleep(systemClock, 5);
  }
}

/** The subnet that a process of its own got. */
async function acquireInProcess(directory: string, node: string, host: number): Promise<string> {
  const script = `
    import fs from 'node:fs';
    const { loadBinding } = await import('${root}/native/binding.ts');
    const { DirectoryRegistry } = await import('${root}/src/lease/directory.ts');
    const { systemClock } = await import('${root}/src/world/clock.ts');
    const binding = loadBinding();
    const registry = new DirectoryRegistry({
      directory: ${JSON.stringify(directory)}, node: '${node}', ranges: ${JSON.stringify(ranges)}, files: fs,
      flock: (fd, operation) => binding.flock(fd, operation), clock: systemClock, knowsPeers: () => false,
    });
    const lease = await registry.acquire({
      attributes: { publicIP: '192.0.2.${host}', publicIPv6: '2001:db8::${host}', backendType: 'vxlan' },
      network: ${JSON.stringify(suiteNetwork)}, previous: {},
    });
    console.log(lease.subnet);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  return stdout.trim();
}
