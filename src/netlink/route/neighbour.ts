import { address, hardwareAddress } from '../binary.ts';
import * as k from '../constants.ts';
import { messageCodec, type ReadOf, type Request, request, type WriteOf } from '../message.ts';
import { nested } from '../nested.ts';
import { be16, i32, u16, u32, u8 } from '../scalar.ts';
import { struct } from '../struct.ts';

/**
 * RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH: struct ndmsg (linux/neighbour.h). With AF_BRIDGE the entry is
 * one of a forwarding database: NTF_SELF the link's own (vxlan: NDA_DST is the remote), NTF_MASTER its bridge's.
 */
export const neighbour = messageCodec(
  struct({ ndm_family: u8, ndm_ifindex: i32, ndm_state: u16, ndm_flags: u8, ndm_type: u8 }),
  {
    NDA_DST: [1, address],
    NDA_LLADDR: [2, hardwareAddress],
    NDA_CACHEINFO: [3, struct({ ndm_confirmed: u32, ndm_used: u32, ndm_updated: u32, ndm_refcnt: u32 })],
    NDA_PROBES: [4, u32],
    NDA_VLAN: [5, u16],
    NDA_PORT: [6, be16],
    NDA_VNI: [7, u32],
    NDA_IFINDEX: [8, u32],
    NDA_MASTER: [9, u32],
    NDA_LINK_NETNSID: [10, i32],
    NDA_SRC_VNI: [11, u32],
    NDA_PROTOCOL: [12, u8],
    NDA_NH_ID: [13, u32],
    NDA_FDB_EXT_ATTRS: [14, nested({ NFEA_ACTIVITY_NOTIFY: [1, u8] }, k.NLA_F_NESTED)],
    NDA_FLAGS_EXT: [15, u32],
  },
);

export type NeighbourMessage = ReadOf<typeof neighbour>;
export type NeighbourWrite = WriteOf<typeof neighbour>;

/** Adds or replaces an entry; NLM_F_APPEND adds one more remote to an FDB entry. */
export function newNeighbour(
  value: NeighbourWrite,
  flags: number = k.NLM_F_CREATE | k.NLM_F_REPLACE,
): Request<NeighbourMessage> {
  return request('RTM_NEWNEIGH', k.RTM_NEWNEIGH, neighbour, value, flags);
}

export function delNeighbour(value: NeighbourWrite): Request<NeighbourMessage> {
  return request('RTM_DELNEIGH', k.RTM_DELNEIGH, neighbour, value);
}

/** To be dumped: AF_INET and AF_INET6 neighbours, or with AF_BRIDGE FDB entries (of one link with ndm_ifindex). */
export function getNeighbours(value: NeighbourWrite = {}): Request<NeighbourMessage> {
  return request('RTM_GETNEIGH', k.RTM_GETNEIGH, neighbour, value);
}
