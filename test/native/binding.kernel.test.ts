import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { createNetns, withNetns } from '../kit/netns.ts';

const binding = loadBinding();
const EPERM = -1;
const ENOENT = -2;
const EBADF = -9;
const EAGAIN = -11;
const EINVAL = -22;
const EMFILE = -24;
const ENAMETOOLONG = -36;
const EMSGSIZE = -90;
const EPROTONOSUPPORT = -93;
const EADDRINUSE = -98;
const ECONNREFUSED = -111;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const RTNLGRP_LINK = 1;
const LOCK_EX_NB = 2 | 4;
const LOCK_UN = 8;
const NSFS_MAGIC = 0x6e736673;

const directory = mkdtempSync(path.join(tmpdir(), 'fl-binding-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A link message by hand, as this room is below the netlink library: RTM_NEWLINK 16, DELLINK 17, GETLINK 18. */
function linkMessage(type: number, name: string): Uint8Array {
  const text = Buffer.from(`${name}\0`);
  const message = Buffer.alloc(32 + 4 + 4 * Math.ceil(text.length / 4));
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(1 | 4, 6); // NLM_F_REQUEST | NLM_F_ACK
  message.writeUInt32LE(7, 8);
  message.writeUInt16LE(4 + text.length, 32);
  message.writeUInt16LE(3, 34); // IFLA_IFNAME
  text.copy(message, 36);
  return message;
}

/** The type of the first message that comes, and the error number when it is an NLMSG_ERROR (2). */
function reply(fd: number): { type: number; error: number; text: string } {
  const buffer = Buffer.alloc(32768);
  expect(binding.poll(fd, 5000)).toBe(1);
  const length = binding.receive(fd, buffer);
  expect(length).toBeGreaterThanOrEqual(20);
  return {
    type: buffer.readUInt16LE(4),
    error: buffer.readInt32LE(16),
    text: buffer.toString('latin1', 0, length),
  };
}

function netlink(netns = -1): Disposable & { fd: number } {
  const fd = binding.openNetlink(NETLINK_ROUTE, netns);
  expect(fd).toBeGreaterThan(2);
  return { fd, [Symbol.dispose]: () => void binding.close(fd) };
}

/** Both ends of a unix connection. */
function connection(name: string): { here: number; there: number; close: () => void } {
  const socket = path.join(directory, name);
  const listener = binding.listenUnix(socket, 0o600);
  const here = binding.connectUnix(socket);
  const there = binding.acceptUnix(listener);
  expect(Math.min(listener, here, there)).toBeGreaterThan(2);
  binding.close(listener);
  return { here, there, close: () => [here, there].forEach((fd) => binding.close(fd)) };
}

/** Runs a program that has `binding` in a process of its own. */
function runScript(script: string): Promise<{ status: number | string; stdout: string; stderr: string }> {
  const file = path.join(directory, `script-${Math.random()}.mts`);
  const from = path.resolve('native/binding.ts');
  writeFileSync(
    file,
    `import { loadBinding } from ${JSON.stringify(from)};\nconst binding = loadBinding();\n${script}`,
  );
  return new Promise((resolve) => {
    execFile(process.execPath, [file], { timeout: 20_000 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : (error.code ?? error.signal ?? 'unknown'), stdout, stderr });
    });
  });
}

describe('netlink', () => {
  test('asks the kernel in this namespace, without blocking', () => {
    using socket = netlink();
    const buffer = Buffer.alloc(32768);
    expect(binding.receive(socket.fd, buffer)).toBe(EAGAIN);
    expect(binding.poll(socket.fd, 0)).toBe(0);
    const request = linkMessage(18, 'lo');
    expect(binding.send(socket.fd, request)).toBe(request.length);
    expect(reply(socket.fd)).toMatchObject({ type: 16, text: expect.stringContaining('lo\0') });
  });

  test('asks the kernel in another namespace, and this process stays where it was', async () => {
    const before = statSync('/proc/thread-self/ns/net').ino;
    await withNetns(async (netns) => {
      await netns.exec('ip', 'link', 'add', 'fl-there', 'type', 'veth', 'peer', 'fl-peer');
      using inside = netlink(netns.fd);
      using outside = netlink();
      for (const { fd } of [inside, outside]) binding.send(fd, linkMessage(18, 'fl-there'));
      expect(reply(inside.fd).type).toBe(16);
      expect(reply(outside.fd)).toMatchObject({ type: 2, error: -19 }); // ENODEV
      expect(statSync('/proc/thread-self/ns/net').ino).toBe(before);
    });
  });

  test('says why a socket cannot be opened', () => {
    const file = openSync('/etc/hostname', 'r');
    expect(binding.openNetlink(NETLINK_ROUTE, file)).toBe(EINVAL);
    closeSync(file);
    expect(binding.openNetlink(NETLINK_ROUTE, 9999)).toBe(EBADF);
    expect(binding.openNetlink(255, -1)).toBe(EPROTONOSUPPORT);
  });

  test('a datagram that is longer than the buffer is EMSGSIZE, and is gone', () => {
    using socket = netlink();
    binding.send(socket.fd, linkMessage(18, 'lo'));
    expect(binding.poll(socket.fd, 5000)).toBe(1);
    expect(binding.receive(socket.fd, Buffer.alloc(20))).toBe(EMSGSIZE);
    expect(reply(socket.fd)).toMatchObject({ type: 2, error: 0 }); // the ack is the next one
  });

  test('setOption joins a group; a group that does not exist is refused', () => {
    using socket = netlink();
    expect(binding.setOption(socket.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK)).toBe(0);
    expect(binding.setOption(socket.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 100_000)).toBe(EINVAL);
  });

  test('a datagram that another process sent is dropped, the one of the kernel behind it is read', () => {
    using socket = netlink();
    // NETLINK_USERSOCK would be simpler, but this must be a route socket: any process of root may send to its port.
    const forge = `
import socket, struct, sys
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
s.sendto(struct.pack('=IHHIII', 20, 16, 0, 0, 0, 0), (int(sys.argv[1]), 0))`;
    binding.send(socket.fd, linkMessage(18, 'lo'));
    expect(reply(socket.fd).type).toBe(16);
    expect(reply(socket.fd).type).toBe(2);
    const port = netlinkPort(socket.fd);
    execFileSync('python3', ['-c', forge, String(port)]);
    expect(binding.poll(socket.fd, 5000)).toBe(1);
    expect(binding.receive(socket.fd, Buffer.alloc(100))).toBe(EAGAIN);
    execFileSync('python3', ['-c', forge, String(port)]);
    binding.send(socket.fd, linkMessage(18, 'lo'));
    expect(reply(socket.fd).text).toContain('lo\0');
  });
});

/** The port of a netlink socket, out of /proc/net/netlink by its inode. */
function netlinkPort(fd: number): number {
  const inode = String(statSync(`/proc/self/fd/${fd}`).ino);
  const line = readFileSync('/proc/net/netlink', 'utf8')
    .split('\n')
    .find((row) => row.trim().split(/\s+/).at(-1) === inode);
  return Number(line?.trim().split(/\s+/)[2]);
}

describe('unix sockets', () => {
  test('bytes and descriptors go across; the descriptors are the same open files, closed at exec', () => {
    const { here, there, close } = connection('pass.sock');
    const file = openSync(path.join(directory, 'passed'), 'w+');
    writeFileSync(file, 'flannel');
    expect(binding.sendDescriptors(here, Buffer.from('hello'), [file, file])).toBe(5);
    const buffer = Buffer.alloc(100);
    const received = binding.receiveDescriptors(there, buffer);
    if (typeof received === 'number') throw new Error(`receiveDescriptors: ${received}`);
    expect(received).toMatchObject({ length: 5, descriptors: [expect.any(Number), expect.any(Number)] });
    expect(buffer.toString('utf8', 0, 5)).toBe('hello');
    for (const fd of received.descriptors) {
      const text = Buffer.alloc(7);
      readSync(fd, text, 0, 7, 0);
      expect(text.toString()).toBe('flannel');
      const flags = /flags:\t(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '';
      expect(Number.parseInt(flags, 8) & 0o2000000).toBe(0o2000000); // O_CLOEXEC
      binding.close(fd);
    }
    expect(binding.receiveDescriptors(there, buffer)).toBe(EAGAIN);
    expect(binding.sendDescriptors(here, Buffer.from('plain'), [])).toBe(5);
    expect(binding.receiveDescriptors(there, buffer)).toEqual({ length: 5, descriptors: [] });
    binding.close(here);
    expect(binding.poll(there, 1000)).toBe(1);
    expect(binding.receiveDescriptors(there, buffer)).toEqual({ length: 0, descriptors: [] });
    closeSync(file);
    close();
  });

  test('a peer that is gone is EPIPE and no signal; a full queue is EAGAIN', () => {
    const { here, there, close } = connection('full.sock');
    const bytes = Buffer.alloc(1 << 20);
    expect(binding.send(here, bytes)).toBeLessThan(bytes.length);
    expect(binding.send(here, bytes)).toBe(EAGAIN);
    binding.close(there);
    expect(binding.send(here, bytes)).toBe(-32);
    close();
  });

  test('the peer is known: process, user, group', () => {
    const { here, there, close } = connection('peer.sock');
    expect(binding.peerCredentials(there)).toEqual([process.pid, process.getuid?.(), process.getgid?.()]);
    expect(binding.peerCredentials(here)).toEqual([process.pid, process.getuid?.(), process.getgid?.()]);
    expect(binding.peerCredentials(9999)).toBe(EBADF);
    close();
  });

  test('the mode is the one asked for, whatever the umask', () => {
    const before = process.umask(0o777);
    const paths = [0o600, 0o660, 0o666].map((mode) => ({
      mode,
      file: path.join(directory, `mode-${mode}.sock`),
    }));
    const listeners = paths.map(({ mode, file }) => binding.listenUnix(file, mode));
    process.umask(before);
    for (const { mode, file } of paths) expect(statSync(file).mode & 0o777).toBe(mode);
    for (const listener of listeners) binding.close(listener);
  });

  test('says why it cannot listen, connect or accept', () => {
    const socket = path.join(directory, 'twice.sock');
    const listener = binding.listenUnix(socket, 0o600);
    expect(binding.listenUnix(socket, 0o600)).toBe(EADDRINUSE);
    expect(binding.acceptUnix(listener)).toBe(EAGAIN);
    binding.close(listener);
    expect(binding.connectUnix(socket)).toBe(ECONNREFUSED);
    expect(binding.connectUnix(path.join(directory, 'nothing.sock'))).toBe(ENOENT);
    expect(binding.connectUnix('/'.repeat(200))).toBe(ENAMETOOLONG);
  });

  test('no room for descriptors is EMFILE, and none stays open', async () => {
    const socket = path.join(directory, 'narrow.sock');
    const { status, stdout, stderr } = await runScript(`
import { execFileSync } from 'node:child_process';
import { openSync, readdirSync, closeSync } from 'node:fs';
const listener = binding.listenUnix(${JSON.stringify(socket)}, 0o600);
const here = binding.connectUnix(${JSON.stringify(socket)});
const there = binding.acceptUnix(listener);
const files = Array.from({ length: 20 }, () => openSync('/dev/null', 'r'));
binding.sendDescriptors(here, Buffer.from('x'), files);
files.forEach((file) => closeSync(file));
execFileSync('prlimit', ['--pid', String(process.pid), '--nofile=' + (there + 6)]); // room for five
const open = () => readdirSync('/proc/self/fd').length;
const before = open();
console.log(binding.receiveDescriptors(there, Buffer.alloc(10)), open() - before);`);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `${EMFILE} 0\n`, stderr: '' });
  });
});

describe('files and namespaces', () => {
  test('flock excludes another open file, and lets it in afterwards', () => {
    const name = path.join(directory, 'lock');
    const [first, second] = [openSync(name, 'w'), openSync(name, 'w')];
    expect(binding.flock(first, LOCK_EX_NB)).toBe(0);
    expect(binding.flock(second, LOCK_EX_NB)).toBe(EAGAIN);
    expect(binding.flock(first, LOCK_UN)).toBe(0);
    expect(binding.flock(second, LOCK_EX_NB)).toBe(0);
    closeSync(first);
    closeSync(second);
    expect(binding.flock(9999, LOCK_EX_NB)).toBe(EBADF);
  });

  test('filesystemType tells a namespace from a file', async () => {
    await withNetns((netns) => expect(binding.filesystemType(netns.fd)).toBe(NSFS_MAGIC));
    const file = openSync('/proc/uptime', 'r');
    expect(binding.filesystemType(file)).toBe(0x9fa0); // PROC_SUPER_MAGIC
    closeSync(file);
    expect(binding.filesystemType(9999)).toBe(EBADF);
  });

  test('a sysctl is written in the other namespace only', async () => {
    const file = '/proc/sys/net/ipv4/conf/lo/rp_filter';
    const before = readFileSync(file, 'utf8');
    await withNetns(async (netns) => {
      expect(binding.writeInNetns(netns.fd, file, '2')).toBe(0);
      expect(await netns.exec('cat', file)).toBe('2\n');
      expect(readFileSync(file, 'utf8')).toBe(before);
      expect(binding.writeInNetns(netns.fd, '/proc/sys/net/ipv4/conf/absent/rp_filter', '1')).toBe(ENOENT);
      expect(binding.writeInNetns(netns.fd, file, 'word')).toBe(EINVAL);
      expect(binding.writeInNetns(9999, file, '1')).toBe(EBADF);
    });
  });

  test('createNetns makes a namespace that stays, and this process is not in it', () => {
    const file = path.join(directory, 'netns');
    expect(binding.createNetns(file)).toBe(ENOENT);
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
    expect(stdout).toBe(`${EPERM} true\n`);
  });

  test('close closes, once', () => {
    const fd = openSync('/dev/null', 'r');
    expect(binding.close(fd)).toBe(0);
    expect(binding.close(fd)).toBe(EBADF);
    expect(existsSync(`/proc/self/fd/${fd}`)).toBe(false);
  });
});

describe('wrong arguments', () => {
  const call = (name: keyof typeof binding, ...args: unknown[]) =>
    Reflect.apply(binding[name], binding, args);
  test.each([
    ['send', ['1', Buffer.alloc(1)], 'argument 1 must be a number'],
    ['send', [1, 'text'], 'argument 2 must be a Uint8Array'],
    ['receive', [1, new Uint16Array(2)], 'argument 2 must be a Uint8Array'],
    ['connectUnix', ['a\0b'], 'argument 1 must be a string without NUL'],
    ['connectUnix', ['a'.repeat(5000)], 'argument 1 must be a string without NUL, shorter than 4096 bytes'],
    ['watch', [1, 'x'], 'argument 2 must be a function'],
    ['sendDescriptors', [1, Buffer.alloc(1), [1, 'x']], 'argument 3 must be an array of at most 253 numbers'],
    ['sendDescriptors', [1, Buffer.alloc(1), {}], 'argument 3 must be an array'],
    ['setOption', [1, 2, 3], 'argument 4 must be a number'],
  ] as const)('$0: $2', (name, args, message) => {
    expect(() => call(name, ...args)).toThrow(TypeError);
    expect(() => call(name, ...args)).toThrow(message);
  });
});

describe('watch', () => {
  test('calls when a message is there, and not after it was ended', async () => {
    using socket = netlink();
    let end: () => void = () => undefined;
    const types = await new Promise<number[]>((resolve) => {
      const seen: number[] = [];
      end = binding.watch(socket.fd, () => {
        seen.push(reply(socket.fd).type);
        if (seen.length === 2) resolve(seen);
      });
      binding.send(socket.fd, linkMessage(18, 'lo'));
    });
    expect(types).toEqual([16, 2]);
    end();
    end();
    binding.send(socket.fd, linkMessage(18, 'lo'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(reply(socket.fd).type).toBe(16);
    const again = binding.watch(socket.fd, () => undefined);
    expect(() => binding.watch(socket.fd, () => undefined)).toThrow('already exists');
    again();
  });

  test('calls when the peer hangs up', async () => {
    const { here, there, close } = connection('hangup.sock');
    const ended = new Promise<void>((resolve) => {
      const end = binding.watch(there, () => {
        expect(binding.receive(there, Buffer.alloc(1))).toBe(0);
        end();
        resolve();
      });
    });
    binding.close(here);
    await ended;
    close();
  });

  test('refuses a file and a closed descriptor', () => {
    const file = openSync('/etc/hostname', 'r');
    expect(() => binding.watch(file, () => undefined)).toThrow(/not permitted/);
    closeSync(file);
    expect(() => binding.watch(9999, () => undefined)).toThrow(/bad file descriptor/);
  });

  test('what a callback throws is an uncaughtException, and the watch goes on', async () => {
    const { status, stdout } = await runScript(`
const fd = binding.openNetlink(0, -1);
binding.setOption(fd, 270, 1, 1);
let calls = 0;
process.on('uncaughtException', (error) => console.log('caught', error.message));
const end = binding.watch(fd, () => {
  if (++calls === 2) return end();
  throw new Error('call ' + calls);
});
binding.send(fd, Buffer.from('1400000012000103070000000000000000000000', 'hex'));`);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'caught call 1\n' });
  });

  test('without a listener the process ends as with any thrown error: status 1, message and stack', async () => {
    const { status, stderr } = await runScript(`
const fd = binding.openNetlink(0, -1);
binding.watch(fd, () => { throw new Error('out of the callback'); });
binding.send(fd, Buffer.from('1400000012000103070000000000000000000000', 'hex'));`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/Error: out of the callback\n +at /);
  });
});

/** How many threads of the addon's run in this process. */
function sendThreads(): number {
  return readdirSync('/proc/self/task').filter((task) => {
    return readFileSync(`/proc/self/task/${task}/comm`, 'utf8') === 'flannel-send\n';
  }).length;
}

describe('sendThreaded', () => {
  test('the event loop runs while the kernel takes links away; at most 16 threads, all answer', async () => {
    await withNetns(async (netns) => {
      const names = Array.from({ length: 40 }, (_, index) => `fl-${index}`);
      const batch = names.map((name) => `link add ${name} type veth peer ${name}p\n`).join('');
      writeFileSync(path.join(directory, 'batch'), batch);
      await netns.exec('ip', '-batch', path.join(directory, 'batch'));
      let turns = 0;
      let running = true;
      const turn = (): void => {
        turns++;
        if (running) setImmediate(turn);
      };
      setImmediate(turn);
      const sockets = names.map(() => netlink(netns.fd));
      const lengths = await Promise.all(
        sockets.map(({ fd }, index) => {
          const message = linkMessage(17, names[index] ?? '');
          return new Promise<boolean>((resolve) => {
            binding.sendThreaded(fd, message, (sent) => resolve(sent === message.length));
            message.fill(0); // it was copied
          });
        }),
      );
      running = false;
      expect(lengths.every(Boolean)).toBe(true);
      expect(turns).toBeGreaterThan(0);
      expect(sendThreads()).toBeGreaterThan(0);
      expect(sendThreads()).toBeLessThanOrEqual(16);
      for (const socket of sockets) {
        expect(reply(socket.fd)).toMatchObject({ type: 2, error: 0 });
        socket[Symbol.dispose]();
      }
      expect(await netns.json('ip', 'link', 'show', 'type', 'veth')).toEqual([]);
    });
  });

  test('an error comes as -errno; a throwing callback is an uncaughtException; the process ends by itself', async () => {
    const { status, stdout } = await runScript(`
process.on('uncaughtException', (error) => console.log('caught', error.message));
binding.sendThreaded(9999, Buffer.alloc(1), (result) => { throw new Error('result ' + result); });`);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'caught result -9\n' });
  });
});

test('sendThreaded where no thread may be started answers EAGAIN', async () => {
  const { status, stdout } = await runScript(`
import { execFileSync } from 'node:child_process';
process.setuid(65534); // root has no limit of processes
execFileSync('prlimit', ['--pid', String(process.pid), '--nproc=1']);
binding.sendThreaded(1, Buffer.alloc(1), (result) => console.log(result));`);
  expect({ status, stdout }).toEqual({ status: 0, stdout: `${EAGAIN}\n` });
});

test('a worker that is terminated while it watches and sends leaves no thread, no descriptor and no crash', async () => {
  const { status, stdout, stderr } = await runScript(`
import { Worker, isMainThread, workerData, parentPort } from 'node:worker_threads';
import { readdirSync, readFileSync } from 'node:fs';
const own = () => readdirSync('/proc/self/task')
  .filter((task) => readFileSync('/proc/self/task/' + task + '/comm', 'utf8') === 'flannel-send\\n').length;
const request = Buffer.from('1400000012000103070000000000000000000000', 'hex');
if (isMainThread) {
  const round = async () => {
    const fds = [binding.openNetlink(0, -1), binding.openNetlink(0, -1)];
    const worker = new Worker(new URL(import.meta.url), { workerData: fds });
    await new Promise((resolve) => worker.once('message', resolve));
    await worker.terminate();
    for (const fd of fds) binding.close(fd);
  };
  await round();
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 20; i++) await round();
  console.log('threads', own(), 'descriptors', readdirSync('/proc/self/fd').length - before);
} else {
  const [watched, sending] = workerData;
  const buffer = Buffer.alloc(65536);
  let calls = 0;
  binding.watch(watched, () => {
    while (binding.receive(watched, buffer) > 0);
    binding.send(watched, request);
    if (++calls === 3) parentPort.postMessage('busy');
    if (calls > 3 && calls % 2 === 0) for (;;); // terminated in the middle of a callback
  });
  const again = () => {
    while (binding.receive(sending, buffer) > 0);
    binding.sendThreaded(sending, request, again);
  };
  for (let i = 0; i < 20; i++) again();
  binding.send(watched, request);
}`);
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'threads 0 descriptors 0\n', stderr: '' });
});
