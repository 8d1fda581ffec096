import { readAcknowledgement } from './acknowledgement.ts';
import * as k from './constants.ts';
import { NetlinkError } from './error.ts';
import { frames, headerSize, type Request, writeMessage } from './message.ts';
import { viewOf } from './payload.ts';
import { align, type Writer } from './writer.ts';

/** Writes a message for another process to send, which asks for an acknowledgement. */
export const writeRelayed = (writer: Writer, request: Request): void =>
  writeMessage(writer, request, request.flags | k.NLM_F_REQUEST | k.NLM_F_ACK, 1);

/** sizeof(struct rtmsg), and the attribute behind it that names a route's link. */
const rtmsg = 12;
const RTA_OIF = 4;

/** Where in a {@link writeRelayed relayed} message the index of the link stands that it is about. Throws an Error where it stands nowhere. */
export function placeOfIndex({ name, type, body }: Request): number {
  // The same in struct ifinfomsg and struct ifaddrmsg.
  if (type !== k.RTM_NEWROUTE) return headerSize + 4;
  const view = viewOf(body);
  for (let at = rtmsg; at + 8 <= body.length; at += align(Math.max(4, view.getUint16(at, true)))) {
    if (view.getUint16(at + 2, true) === RTA_OIF) return headerSize + at + 4;
  }
  throw new Error(`${name} names no link`);
}

/** What the kernel refused `request` with: its answer, or the error that stood in its place. Throws a CodecError. */
export function refusalOf(request: Request, errno: number, answer: Uint8Array): NetlinkError {
  for (const frame of frames(answer)) {
    const error = frame.type === k.NLMSG_ERROR ? readAcknowledgement(frame, request) : undefined;
    if (error !== undefined) return error;
  }
  return new NetlinkError(request.name, errno);
}
