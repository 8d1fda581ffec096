import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { withNetns } from '../kit/netns.ts';
import { linkMessage, netlink, reply } from './route-socket.ts';

const binding = loadBinding();
const { errno } = constants;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const RTNLGRP_LINK = 1;

describe('netlink', () => {
  test('asks the kernel in this namespace, without blocking', () => {
    using socket = netlink();
    const buffer = Buffer.alloc(32768);
    expect(binding.receive(socket.fd, buffer)).toBe(-errno.EAGAIN);
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
    expect(binding.openNetlink(NETLINK_ROUTE, file)).toBe(-errno.EINVAL);
    closeSync(file);
    expect(binding.openNetlink(NETLINK_ROUTE, 9999)).toBe(-errno.EBADF);
    expect(binding.openNetlink(255, -1)).toBe(-errno.EPROTONOSUPPORT);
  });

  test('a datagram that is longer than the buffer is EMSGSIZE, and is gone', () => {
    using socket = netlink();
    binding.send(socket.fd, linkMessage(18, 'lo'));
    expect(binding.poll(socket.fd, 5000)).toBe(1);
    expect(binding.receive(socket.fd, Buffer.alloc(20))).toBe(-errno.EMSGSIZE);
    expect(reply(socket.fd)).toMatchObject({ type: 2, error: 0 }); // the ack is the next one
  });

  test('setOption joins a group; a group that does not exist is refused', () => {
    using socket = netlink();
    expect(binding.setOption(socket.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK)).toBe(0);
    expect(binding.setOption(socket.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 100_000)).toBe(-errno.EINVAL);
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
    expect(binding.receive(socket.fd, Buffer.alloc(100))).toBe(-errno.EAGAIN);
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
