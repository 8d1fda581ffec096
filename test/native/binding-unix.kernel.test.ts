import { closeSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { bindingScene } from './binding-scene.ts';

const binding = loadBinding();
const { errno } = constants;
const { directory, connection, runScript } = bindingScene();

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
    expect(binding.receiveDescriptors(there, buffer)).toBe(-errno.EAGAIN);
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
    expect(binding.send(here, bytes)).toBe(-errno.EAGAIN);
    binding.close(there);
    expect(binding.send(here, bytes)).toBe(-errno.EPIPE);
    close();
  });

  test('the peer is known: process, user, group', () => {
    const { here, there, close } = connection('peer.sock');
    expect(binding.peerCredentials(there)).toEqual([process.pid, process.getuid?.(), process.getgid?.()]);
    expect(binding.peerCredentials(here)).toEqual([process.pid, process.getuid?.(), process.getgid?.()]);
    expect(binding.peerCredentials(9999)).toBe(-errno.EBADF);
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
    expect(binding.listenUnix(socket, 0o600)).toBe(-errno.EADDRINUSE);
    expect(binding.acceptUnix(listener)).toBe(-errno.EAGAIN);
    binding.close(listener);
    expect(binding.connectUnix(socket)).toBe(-errno.ECONNREFUSED);
    expect(binding.connectUnix(path.join(directory, 'nothing.sock'))).toBe(-errno.ENOENT);
    expect(binding.connectUnix('/'.repeat(200))).toBe(-errno.ENAMETOOLONG);
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
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `${-errno.EMFILE} 0\n`, stderr: '' });
  });
});
