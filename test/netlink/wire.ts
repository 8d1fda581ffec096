import {
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
} from '../../src/netlink/constants.ts';
import type { MessageCodec } from '../../src/netlink/message.ts';
import { align, Writer } from '../../src/netlink/writer.ts';

/** Messages as the kernel writes them, for sockets that are not the kernel's. */

/** One message around `body`. */
export function wireMessage(type: number, flags: number, seq: number, body: Uint8Array): Uint8Array {
  const writer = new Writer(16 + body.length + 4);
  const start = writer.reserve(16);
  writer.view.setUint32(start, 16 + body.length, true);
  writer.view.setUint16(start + 4, type, true);
  writer.view.setUint16(start + 6, flags, true);
  writer.view.setUint32(start + 8, seq, true);
  writer.raw(body);
  writer.reserve(align(writer.length) - writer.length);
  return writer.written;
}

/** What a codec writes, without a header. */
export function bodyOf<W>(codec: MessageCodec<unknown, W>, value: W): Uint8Array {
  const writer = new Writer();
  codec.encode(writer, value);
  return writer.written;
}

/** An object of a dump, or an answer to a GET (`flags` 0). */
export function wireObject<W>(
  type: number,
  seq: number,
  codec: MessageCodec<unknown, W>,
  value: W,
  flags: number = NLM_F_MULTI,
): Uint8Array {
  return wireMessage(type, flags, seq, bodyOf(codec, value));
}

/** NLMSG_ERROR: an acknowledgement for errno 0, else a refusal, with the kernel's words if there are any. */
export function wireError(seq: number, errno = 0, says?: string): Uint8Array {
  const writer = new Writer();
  writer.view.setInt32(writer.reserve(4), -errno, true);
  // The header of the request that was refused, capped.
  const echoed = writer.reserve(16);
  writer.view.setUint32(echoed, 16, true);
  writer.view.setUint32(echoed + 8, seq, true);
  const flags = NLM_F_CAPPED | (says === undefined ? 0 : NLM_F_ACK_TLVS);
  if (says !== undefined) writeText(writer, 1, says);
  return wireMessage(NLMSG_ERROR, flags, seq, writer.written);
}

/** NLMSG_DONE, the end of a dump, with the dump's error. */
export function wireDone(seq: number, errno = 0, flags: number = NLM_F_MULTI): Uint8Array {
  const writer = new Writer();
  writer.view.setInt32(writer.reserve(4), -errno, true);
  return wireMessage(NLMSG_DONE, flags, seq, writer.written);
}

/** One datagram of several messages. */
export function datagram(...messages: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(messages);
}

function writeText(writer: Writer, type: number, text: string): void {
  const start = writer.startAttribute(type);
  writer.raw(Buffer.from(`${text}\0`));
  writer.endAttribute(start);
}
