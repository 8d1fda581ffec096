import { AttributeTable } from './attributes.ts';
import { CodecError } from './codec-error.ts';
import { NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_ERROR } from './constants.ts';
import { NetlinkError } from './error.ts';
import { type Frame, headerSize, type Request } from './message.ts';
import { viewOf } from './payload.ts';
import { u32 } from './scalar.ts';
import { string } from './text.ts';
import { align } from './writer.ts';

const extendedAck = new AttributeTable({
  NLMSGERR_ATTR_MSG: [1, string],
  NLMSGERR_ATTR_OFFS: [2, u32],
  NLMSGERR_ATTR_MISS_TYPE: [5, u32],
});

interface ExtendedAckAttributes {
  NLMSGERR_ATTR_MSG?: string;
  NLMSGERR_ATTR_OFFS?: number;
  NLMSGERR_ATTR_MISS_TYPE?: number;
}

/**
 * Reads NLMSG_ERROR, or NLMSG_DONE: undefined is success. The kernel's text and the attribute it means
 * come from the TLVs, when the socket asked for them (NETLINK_EXT_ACK).
 */
export function readAcknowledgement(frame: Frame, request: Request): NetlinkError | undefined {
  const { view, start, end } = frame;
  // A bare NLMSG_DONE is success too: some families send none of the four bytes.
  if (end - start < 4) {
    if (frame.type !== NLMSG_ERROR) return undefined;
    throw new CodecError(`NLMSG_ERROR: 4 bytes expected, ${end - start} found`);
  }
  const errno = -view.getInt32(start, true);
  if (errno <= 0) return undefined;
  const says: ExtendedAckAttributes = {};
  if ((frame.flags & NLM_F_ACK_TLVS) !== 0) {
    extendedAck.decode(view, Math.min(tlvStart(frame), end), end, says as Record<string, unknown>);
  }
  return new NetlinkError(request.name, errno, {
    kernelSays: says.NLMSGERR_ATTR_MSG,
    attribute: attributeMeant(says, request),
  });
}

/** Behind the error number stands our own request again, its header alone under NLM_F_CAPPED. */
function tlvStart({ type, flags, view, start, end }: Frame): number {
  if (type !== NLMSG_ERROR || end - start < 4 + headerSize) return start + 4;
  const echoed = (flags & NLM_F_CAPPED) !== 0 ? headerSize : view.getUint32(start + 4, true);
  return start + 4 + align(echoed);
}

function attributeMeant(says: ExtendedAckAttributes, { body, codec }: Request): string | undefined {
  if (says.NLMSGERR_ATTR_MISS_TYPE !== undefined) {
    return `${codec.nameOf(says.NLMSGERR_ATTR_MISS_TYPE)} is missing`;
  }
  if (says.NLMSGERR_ATTR_OFFS === undefined) return undefined;
  const path = codec.pathAt(viewOf(body), 0, body.length, says.NLMSGERR_ATTR_OFFS - headerSize);
  return path.length === 0 ? undefined : path.join('/');
}
