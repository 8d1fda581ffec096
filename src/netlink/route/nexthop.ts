import { address, binary, flag } from '../binary.ts';
import * as k from '../constants.ts';
import { messageCodec, type ReadOf, type Request, request, type WriteOf } from '../message.ts';
import { packed } from '../nested.ts';
import { u16, u32, u8 } from '../scalar.ts';
import { struct } from '../struct.ts';

/** RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_GETNEXTHOP: struct nhmsg (linux/nexthop.h). Kernel 5.3 and later. */
export const nexthop = messageCodec(
  struct({ nh_family: u8, nh_scope: u8, nh_protocol: u8, resvd: u8, nh_flags: u32 }),
  {
    NHA_ID: [1, u32],
    NHA_GROUP: [2, packed(struct({ id: u32, weight: u8, weight_high: u8, resvd2: u16 }))],
    NHA_GROUP_TYPE: [3, u16],
    NHA_BLACKHOLE: [4, flag],
    NHA_OIF: [5, u32],
    NHA_GATEWAY: [6, address],
    NHA_ENCAP_TYPE: [7, u16],
    NHA_ENCAP: [8, binary],
    NHA_GROUPS: [9, flag],
    NHA_MASTER: [10, u32],
    NHA_FDB: [11, flag],
  },
);

export type NexthopMessage = ReadOf<typeof nexthop>;
export type NexthopWrite = WriteOf<typeof nexthop>;

export function newNexthop(
  value: NexthopWrite,
  flags: number = k.NLM_F_CREATE | k.NLM_F_REPLACE,
): Request<NexthopMessage> {
  return request('RTM_NEWNEXTHOP', k.RTM_NEWNEXTHOP, nexthop, value, flags);
}

/** By NHA_ID; the routes that use it go with it. */
export function delNexthop(id: number): Request<NexthopMessage> {
  return request('RTM_DELNEXTHOP', k.RTM_DELNEXTHOP, nexthop, { NHA_ID: id });
}

/** One by NHA_ID as a request; all as a dump (those of a link with NHA_OIF). */
export function getNexthops(value: NexthopWrite = {}): Request<NexthopMessage> {
  return request('RTM_GETNEXTHOP', k.RTM_GETNEXTHOP, nexthop, value);
}
