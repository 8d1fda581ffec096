import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { address } from '../../src/net/address.ts';
import { type Clock, sleep, systemClock } from '../../src/world/clock.ts';
import { ranges, registry, scratch, write } from './directory-registry.ts';
import { acquire, allocationSuite, type RegistryKit, registrySuite, suiteNetwork } from './registry-suite.ts';

const root = path.resolve(import.meta.dirname, '../..');

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
    await acquire(registry(directory, 'a', { ranges: one }), 1);
    await expect(acquire(registry(directory, 'b', { ranges: one }), 2)).rejects.toThrow(
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
    const holding = ['sh', '-c', 'echo held; exec sleep 60'];
    const holder = spawn('flock', [path.join(directory, '.lock'), ...holding], {
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(holder.stdout, 'data');
    let isAcquired = false;
    const acquired = acquire(registry(directory, 'a'), 1).finally(() => (isAcquired = true));
    await sleep(systemClock, 200);
    const hasWaited = !isAcquired;
    process.kill(-(holder.pid ?? 0), 'SIGKILL');
    expect([hasWaited, (await acquired).id]).toEqual([true, 'a']);
  });

  test('a node keeps the subnet in which its pods are, whoever else claims it', async () => {
    const directory = scratch();
    const { subnet } = await acquire(registry(directory, 'a'), 1);
    write(directory, 'liar', `{"Subnet":"${subnet}","PublicIP":"192.0.2.9"}`);
    expect((await acquire(registry(directory, 'a'), 1, subnet)).subnet).toBe(subnet);
  });

  test.each([
    ['removed', (file: string) => fs.rmSync(file)],
    ['emptied', (file: string) => fs.writeFileSync(file, '')],
  ])(
    'a node whose document was %s has its subnet again, unless another node has taken it meanwhile',
    async (_, spoil) => {
      const directory = scratch();
      const a = registry(directory, 'a');
      const { subnet } = await acquire(a, 1);
      const document = fs.readFileSync(path.join(directory, 'a.json'), 'utf8');
      spoil(path.join(directory, 'a.json'));
      expect((await acquire(a, 1)).subnet).toBe(subnet);
      spoil(path.join(directory, 'a.json'));
      write(directory, 'b', document);
      expect((await acquire(a, 1, subnet)).subnet).toBe('10.244.2.0/24');
    },
  );

  test('a document that is a copy of another’s gives no right to its subnet', async () => {
    const directory = scratch();
    const { subnet } = await acquire(registry(directory, 'a'), 1);
    fs.copyFileSync(path.join(directory, 'a.json'), path.join(directory, 'b.json'));
    expect((await acquire(registry(directory, 'b'), 2)).subnet).not.toBe(subnet);
  });

  test('what a damaged document names is not given away; a claim on everything takes nothing', async () => {
    const directory = scratch();
    fs.mkdirSync(directory);
    write(directory, 'damaged', '{"Subnet":"10.244.1.0/24","IPv6Subnet":"fd00:244:0:1::/64","PublicIP":');
    write(directory, 'greedy', '{"Subnet":"10.0.0.0/8","PublicIP":"192.0.2.9"}');
    write(directory, 'whole', '{"Subnet":"10.244.0.0/16","PublicIP":"192.0.2.10"}');
    expect((await acquire(registry(directory, 'a'), 1)).subnet).toBe('10.244.2.0/24');
  });

  test.each(['', 'no JSON', '{"PublicIP":"192.0.2.1"}', '{"Subnet":"10.244.1.0/24","IPv6Sub'])(
    'while the document of another node says %j any free subnet may be its own',
    async (text) => {
      const directory = scratch();
      const { subnet } = await acquire(registry(directory, 'a'), 1);
      await acquire(registry(directory, 'b'), 2);
      write(directory, 'a', text);
      await expect(acquire(registry(directory, 'c'), 3)).rejects.toThrow(
        /any free subnet .* may be that of a\.json .* Mend it, or remove it/,
      );
      expect((await acquire(registry(directory, 'b'), 2)).subnet).toBe('10.244.2.0/24');
      expect((await acquire(registry(directory, 'a'), 1, subnet)).subnet).toBe(subnet);
      expect((await acquire(registry(directory, 'c'), 3)).subnet).toBe('10.244.3.0/24');
    },
  );

  test.each([0, -3_600_000, 3_600_000])(
    'a document that says nothing keeps a new node out for a minute, however often it is written, with a clock %d ms off',
    async (off) => {
      const directory = scratch();
      fs.mkdirSync(directory);
      let seconds = 0;
      const clock = {
        ...systemClock,
        now: () => systemClock.now() + off + seconds * 1000,
        monotonic: () => seconds * 1000,
      };
      const a = registry(directory, 'a', { clock });
      for (; seconds < 60; seconds += 15) {
        write(directory, 'status', '{}');
        await expect(acquire(a, 1)).rejects.toThrow('may be that of status.json');
      }
      write(directory, 'status', '{}');
      expect((await acquire(a, 1)).subnet).toBe('10.244.1.0/24');
    },
  );

  test('a document that is damaged again is another matter', async () => {
    const directory = scratch();
    await acquire(registry(directory, 'a'), 1);
    const document = fs.readFileSync(path.join(directory, 'a.json'), 'utf8');
    let seconds = 0;
    const b = registry(directory, 'b', { clock: { ...systemClock, monotonic: () => seconds * 1000 } });
    write(directory, 'a', '');
    write(directory, 'other', '');
    await expect(acquire(b, 2)).rejects.toThrow('may be that of a.json');
    seconds = 30;
    write(directory, 'a', document);
    await expect(acquire(b, 2)).rejects.toThrow('may be that of other.json');
    seconds = 61;
    write(directory, 'a', '');
    await expect(acquire(b, 2)).rejects.toThrow('may be that of a.json');
  });

  test('what can be no node’s document keeps nobody waiting', async () => {
    const directory = scratch();
    fs.mkdirSync(directory);
    for (const name of ['.hidden', 'a b', '-', 'net-conf']) write(directory, name, '');
    expect((await acquire(registry(directory, 'a'), 1)).subnet).toBe('10.244.1.0/24');
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

  test('eight processes that start at once have eight subnets', async () => {
    const directory = scratch();
    const children = Array.from({ length: 8 }, (_, i) => acquireInProcess(directory, `node-${i}`, i + 1));
    const subnets = await Promise.all(children);
    expect(new Set(subnets).size).toBe(8);
    expect(subnets.every((subnet) => /^10\.244\.\d+\.0\/24$/.test(subnet))).toBe(true);
  });

  test.each([
    ['ENOSPC', /no space.*make room/],
    ['EROFS', /must be able to write/],
    ['ENOENT', /if no file can be made there, name another directory \(--lease-dir\)/],
  ])('%s is told with what to do, and leaves nothing', async (code, why) => {
    const directory = scratch();
    const files = {
      ...fs,
      writeFileSync: (() => {
        throw Object.assign(new Error(`${code}: no space or right`), { code });
      }) as typeof fs.writeFileSync,
    };
    await expect(acquire(registry(directory, 'a', { files }), 1)).rejects.toThrow(why);
    expect(fs.readdirSync(directory)).toEqual(['.lock']);
  });

  test('where it cannot be made the read-only file system is named', async () => {
    const mkdirSync = ((directory: string) => {
      const code = fs.existsSync(path.dirname(directory)) ? 'EROFS' : 'ENOENT';
      throw Object.assign(new Error(`${code}: mkdir ${directory}`), { code });
    }) as typeof fs.mkdirSync;
    const directory = scratch();
    const me = registry(path.join(directory, 'here'), 'a', { files: { ...fs, mkdirSync } });
    await expect(acquire(me, 1)).rejects.toThrow(
      `EROFS: mkdir ${directory}; flanneld must be able to write there`,
    );
  });

  test('a lock that is held for ever is given up, and named', async () => {
    const directory = scratch();
    const clock: Clock = {
      ...systemClock,
      after: (_ms, call) => systemClock.after(0, call),
      monotonic: () => (time += 500),
    };
    let time = 0;
    const busy = registry(directory, 'a', { clock, flock: () => -constants.errno.EAGAIN });
    await expect(acquire(busy, 1)).rejects.toThrow(/\.lock: another node holds it for more than 10 s/);
  });
});

/** The subnet that a process of its own got. */
async function acquireInProcess(directory: string, node: string, host: number): Promise<string> {
  const script = `
    import { once } from 'node:events';
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
