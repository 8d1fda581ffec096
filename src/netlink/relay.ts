import { readAcknowledgement } from './acknowledgement.ts';
import * as k from './constants.ts';
import { NetlinkError } from './error.ts';
import { frames, type Request, writeMessage } from './message.ts';
import { Writer } from './writer.ts';

const ENOBUFS = 105;

/** Messages for another process to send, one behind the other: it sends each when the one before it is acknowledged. */
export function relayed(requests: readonly Request[]): Uint8Array {
  const writer = new Writer(requests.reduce((sum, { body }) => sum + body.length + 20, 0));
  for (const [i, request] of requests.entries()) {
    writeMessage(writer, request, request.flags | k.NLM_F_REQUEST | k.NLM_F_ACK, i + 1);
  }
  return writer.finish();
}

/** What the kernel refused `request` with, by the answer that process got; none is ENOBUFS. Throws a CodecError. */
export function refusalIn(answer: Uint8Array, request: Request): NetlinkError {
  for (const frame of frames(answer)) {
    const error = frame.type === k.NLMSG_ERROR ? readAcknowledgement(frame, request) : undefined;
    if (error !== undefined) return error;
  }
  return new NetlinkError(`${request.name}: the answer was lost`, ENOBUFS);
}
