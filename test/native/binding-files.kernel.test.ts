import { execFileSync } from 'node:child_process';
import { chmodSync, closeSync, existsSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { createNetns, withNetns } from '../kit/netns.ts';
import { bindingScene } from './binding-scene.ts';
import { linkMessage, netlink, reply } from './route-socket.ts';

const binding = loadBinding();
const { errno } = constants;
const LOCK_EX_NB = 2 | 4;
const LOCK_UN = 8;
const NSFS_MAGIC = 0x6e736673;
const { directory, runScript } = bindingScene();

describe('files and namespaces', () => {
  test('flock excludes another open file, and lets it in afterwards', () => {
    const name = path.join(directory, 'lock');
    const [first, second] = [openSync(name, 'w'), openSync(name, 'w')];
    expect(binding.flock(first, LOCK_EX_NB)).toBe(0);
    expect(binding.flock(second, LOCK_EX_NB)).toBe(-errno.EAGAIN);
    expect(binding.flock(first, LOCK_UN)).toBe(0);
    expect(binding.flock(second, LOCK_EX_NB)).toBe(0);
    closeSync(first);
    closeSync(second);
    expect(binding.flock(9999, LOCK_EX_NB)).toBe(-errno.EBADF);
  });

  test('filesystemType tells a namespace from a file', async () => {
    await withNetns((netns) => expect(binding.filesystemType(netns.fd)).toBe(NSFS_MAGIC));
    const file = openSync('/proc/uptime', 'r');
    expect(binding.filesystemType(file)).toBe(0x9fa0); // PROC_SUPER_MAGIC
    closeSync(file);
    expect(binding.filesystemType(9999)).toBe(-errno.EBADF);
  });

  test('a sysctl is written in the other namespace only', async () => {
    const file = '/proc/sys/net/ipv4/conf/lo/rp_filter';
    const before = readFileSync(file, 'utf8');
    await withNetns(async (netns) => {
      expect(binding.writeInNetns(netns.fd, file, '2')).toBe(0);
      expect(await netns.exec('cat', file)).toBe('2\n');
      expect(readFileSync(file, 'utf8')).toBe(before);
      expect(binding.writeInNetns(netns.fd, '/proc/sys/net/ipv4/conf/absent/rp_filter', '1')).toBe(
        -errno.ENOENT,
      );
      expect(binding.writeInNetns(netns.fd, file, 'word')).toBe(-errno.EINVAL);
      expect(binding.writeInNetns(9999, file, '1')).toBe(-errno.EBADF);
    });
  });

  test('createNetns makes a namespace that stays, and this process is not in it', () => {
    const file = path.join(directory, 'netns');
    expect(binding.createNetns(file)).toBe(-errno.ENOENT);
    writeFileSync(file, '');
    const before = statSync('/proc/thread-self/ns/net').ino;
    expect(binding.createNetns(file)).toBe(0);
    try {
      const netns = openSync(file, 'r');
      expect(binding.filesystemType(netns)).toBe(NSFS_MAGIC);
      expect(statSync(file).ino).not.toBe(before);
      expect(statSync('/proc/thread-self/ns/net').ino).toBe(before);
      using socket = netlink(netns);
      binding.send(socket.fd, linkMessage(18, 'lo'));
      expect(reply(socket.fd).type).toBe(16);
      closeSync(netns);
    } finally {
      execFileSync('umount', [file]);
    }
  });

  test('without CAP_SYS_ADMIN another namespace is refused, and the process goes on', async () => {
    const netns = createNetns();
    chmodSync(directory, 0o755);
    const { stdout } = await runScript(`
import { openSync } from 'node:fs';
const netns = openSync(${JSON.stringify(netns.path)}, 'r');
process.setuid(65534);
console.log(binding.openNetlink(0, netns), binding.openNetlink(0, -1) > 2);`).finally(() => netns.remove());
    expect(stdout).toBe(`${-errno.EPERM} true\n`);
  });

  test('close closes, once', () => {
    const fd = openSync('/dev/null', 'r');
    expect(binding.close(fd)).toBe(0);
    expect(binding.close(fd)).toBe(-errno.EBADF);
    expect(existsSync(`/proc/self/fd/${fd}`)).toBe(false);
  });
});
