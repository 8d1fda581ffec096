import { closeSync, openSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { bindingScene } from './binding-scene.ts';
import { linkMessage, netlink, reply } from './route-socket.ts';

const binding = loadBinding();
const { connection, runScript } = bindingScene();

describe('watch', () => {
  test('calls when a message is there, and not after it was ended', async () => {
    using socket = netlink();
    const types = await new Promise<number[]>((resolve) => {
      const seen: number[] = [];
      binding.watch(socket.fd, () => {
        seen.push(reply(socket.fd).type);
        if (seen.length === 2) resolve(seen);
      });
      binding.send(socket.fd, linkMessage(18, 'lo'));
    });
    expect(types).toEqual([16, 2]);
    binding.unwatch(socket.fd);
    binding.unwatch(socket.fd);
    binding.send(socket.fd, linkMessage(18, 'lo'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(reply(socket.fd).type).toBe(16);
    binding.watch(socket.fd, () => undefined);
    expect(() => binding.watch(socket.fd, () => undefined)).toThrow('already exists');
  });

  test('who ends another watch and begins one of its number has no call meant for the one before', async () => {
    const calls: string[] = [];
    const sockets = [netlink(), netlink()];
    const [one, other] = sockets.map(({ fd }) => fd) as [number, number];
    for (const [fd, rest] of [
      [one, other],
      [other, one],
    ] as const) {
      binding.send(fd, linkMessage(18, 'lo'));
      binding.watch(fd, () => {
        calls.push('first');
        binding.unwatch(fd);
        binding.close(rest);
        expect(binding.openNetlink(0, -1)).toBe(rest);
        binding.watch(rest, () => calls.push('second'));
      });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(calls).toEqual(['first']);
    for (const socket of sockets) socket[Symbol.dispose]();
  });

  test('a watch ends with its descriptor, and nothing keeps the process then', async () => {
    const { status, stdout } = await runScript(`
const fd = binding.openNetlink(0, -1);
binding.watch(fd, () => {});
setTimeout(() => binding.close(fd), 50);
process.on('exit', () => console.log('ended', binding.close(fd)));`);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'ended -9\n' });
  });

  test('calls when the peer hangs up', async () => {
    const { here, there, close } = connection('hangup.sock');
    const ended = new Promise<void>((resolve) => {
      binding.watch(there, () => {
        expect(binding.receive(there, Buffer.alloc(1))).toBe(0);
        binding.unwatch(there);
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
binding.watch(fd, () => {
  if (++calls === 2) return binding.unwatch(fd);
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
