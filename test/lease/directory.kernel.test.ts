import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { DirectoryRegistry } from '../../src/lease/directory.ts';
import { address } from '../../src/net/address.ts';
import { systemClock } from '../../src/world/clock.ts';
import { acquire, registrySuite } from './registry-suite.ts';

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

const registry = (directory: string, node: string, some = ranges) =>
  new DirectoryRegistry({
    directory,
    node,
    ranges: some,
    files: fs,
    flock: (fd, operation) => binding.flock(fd, operation),
    clock: systemClock,
  });

describe('the directory', () => {
  registrySuite(() => {
    const directory = scratch();
    return {
      node: (name) => registry(directory, name),
      spoil: (name) => fs.writeFileSync(path.join(directory, `${name}.json`), '{"Subnet":'),
      remove: (name) => fs.rmSync(path.join(directory, `${name}.json`)),
      away() {
        fs.renameSync(directory, `${directory}.away`);
        fs.writeFileSync(directory, 'no directory');
      },
      back() {
        fs.rmSync(directory);
        fs.renameSync(`${directory}.away`, directory);
      },
    };
  });

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
});
