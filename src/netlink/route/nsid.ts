import * as k from '../constants.ts';
import { messageCodec, type ReadOf, type Request, request } from '../message.ts';
import { i32, u32, u8 } from '../scalar.ts';
import { struct } from '../struct.ts';

/** RTM_NEWNSID, RTM_DELNSID, RTM_GETNSID: struct rtgenmsg (linux/net_namespace.h). */
export const nsid = messageCodec(struct({ rtgen_family: u8 }), {
  NETNSA_NSID: [1, i32],
  NETNSA_PID: [2, u32],
  NETNSA_FD: [3, u32],
  NETNSA_TARGET_NSID: [4, i32],
  NETNSA_CURRENT_NSID: [5, i32],
});

export type NsidMessage = ReadOf<typeof nsid>;

/** The number by which this namespace knows another, as in IFLA_LINK_NETNSID; NETNSA_NSID_NOT_ASSIGNED if by none. */
export function getNsid(netnsFd: number): Request<NsidMessage> {
  return request('RTM_GETNSID', k.RTM_GETNSID, nsid, { NETNSA_FD: netnsFd });
}
