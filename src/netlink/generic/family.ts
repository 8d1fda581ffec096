import * as k from '../constants.ts';
import { messageCodec, type ReadOf, type Request, request } from '../message.ts';
import { list, nested } from '../nested.ts';
import { u16, u32, u8 } from '../scalar.ts';
import { struct } from '../struct.ts';
import { string } from '../text.ts';

/** The header of every generic netlink family (linux/genetlink.h). */
export const genlmsghdr = struct({ cmd: u8, version: u8, reserved: u16 });

/** The control family, which knows the others: CTRL_CMD_NEWFAMILY and CTRL_CMD_GETFAMILY. */
export const family = messageCodec(genlmsghdr, {
  CTRL_ATTR_FAMILY_ID: [1, u16],
  CTRL_ATTR_FAMILY_NAME: [2, string],
  CTRL_ATTR_VERSION: [3, u32],
  CTRL_ATTR_HDRSIZE: [4, u32],
  CTRL_ATTR_MAXATTR: [5, u32],
  CTRL_ATTR_OPS: [6, list(nested({ CTRL_ATTR_OP_ID: [1, u32], CTRL_ATTR_OP_FLAGS: [2, u32] }), 1)],
  CTRL_ATTR_MCAST_GROUPS: [
    7,
    list(nested({ CTRL_ATTR_MCAST_GRP_NAME: [1, string], CTRL_ATTR_MCAST_GRP_ID: [2, u32] }), 1),
  ],
});

export type FamilyMessage = ReadOf<typeof family>;

/**
 * A family by its name (`wireguard`): its message type, version and multicast groups. On a NETLINK_GENERIC
 * socket; ENOENT when the kernel has no such family, after it tried to load its module.
 */
export function getFamily(name: string): Request<FamilyMessage> {
  return request('CTRL_CMD_GETFAMILY', k.GENL_ID_CTRL, family, {
    cmd: k.CTRL_CMD_GETFAMILY,
    version: 2,
    CTRL_ATTR_FAMILY_NAME: name,
  });
}
