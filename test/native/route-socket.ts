import { expect } from 'vitest';
import { loadBinding } from '../../native/binding.ts';

const binding = loadBinding();
const NETLINK_ROUTE = 0;

/** A link message by hand, as this room is below the netlink library: RTM_NEWLINK 16, DELLINK 17, GETLINK 18. */
export function linkMessage(type: number, name: string): Uint8Array {
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
export function reply(fd: number): { type: number; error: number; text: string } {
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

export function netlink(netns = -1): Disposable & { fd: number } {
  const fd = binding.openNetlink(NETLINK_ROUTE, netns);
  expect(fd).toBeGreaterThan(2);
  return { fd, [Symbol.dispose]: () => void binding.close(fd) };
}
