import { address, binary } from '../binary.ts';
import * as k from '../constants.ts';
import { messageCodec, type ReadOf, type Request, request, type WriteOf } from '../message.ts';
import { nested } from '../nested.ts';
import { be16, u16, u32, u8 } from '../scalar.ts';
import { struct } from '../struct.ts';
import { string } from '../text.ts';
import { nextHops, via } from './next-hops.ts';

const metrics = nested({
  RTAX_LOCK: [1, u32],
  RTAX_MTU: [2, u32],
  RTAX_WINDOW: [3, u32],
  RTAX_RTT: [4, u32],
  RTAX_RTTVAR: [5, u32],
  RTAX_SSTHRESH: [6, u32],
  RTAX_CWND: [7, u32],
  RTAX_ADVMSS: [8, u32],
  RTAX_REORDERING: [9, u32],
  RTAX_HOPLIMIT: [10, u32],
  RTAX_INITCWND: [11, u32],
  RTAX_FEATURES: [12, u32],
  RTAX_RTO_MIN: [13, u32],
  RTAX_INITRWND: [14, u32],
  RTAX_QUICKACK: [15, u32],
  RTAX_CC_ALGO: [16, string],
  RTAX_FASTOPEN_NO_COOKIE: [17, u32],
});

const cacheInfo = struct({
  rta_clntref: u32,
  rta_lastuse: u32,
  rta_expires: u32,
  rta_error: u32,
  rta_used: u32,
  rta_id: u32,
  rta_ts: u32,
  rta_tsage: u32,
});

/**
 * RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE: struct rtmsg (linux/rtnetlink.h). `rtm_table` holds tables
 * below 256, RTA_TABLE any. RTNH_F_ONLINK goes into rtm_flags.
 */
export const route = messageCodec(
  struct({
    rtm_family: u8,
    rtm_dst_len: u8,
    rtm_src_len: u8,
    rtm_tos: u8,
    rtm_table: u8,
    rtm_protocol: u8,
    rtm_scope: u8,
    rtm_type: u8,
    rtm_flags: u32,
  }),
  {
    RTA_DST: [1, address],
    RTA_SRC: [2, address],
    RTA_IIF: [3, u32],
    RTA_OIF: [4, u32],
    RTA_GATEWAY: [5, address],
    RTA_PRIORITY: [6, u32],
    RTA_PREFSRC: [7, address],
    RTA_METRICS: [8, metrics],
    RTA_MULTIPATH: [9, nextHops],
    RTA_FLOW: [11, u32],
    RTA_CACHEINFO: [12, cacheInfo],
    RTA_TABLE: [15, u32],
    RTA_MARK: [16, u32],
    RTA_VIA: [18, via],
    RTA_NEWDST: [19, binary],
    RTA_PREF: [20, u8],
    RTA_ENCAP_TYPE: [21, u16],
    RTA_ENCAP: [22, binary],
    RTA_EXPIRES: [23, u32],
    RTA_UID: [25, u32],
    RTA_TTL_PROPAGATE: [26, u8],
    RTA_IP_PROTO: [27, u8],
    RTA_SPORT: [28, be16],
    RTA_DPORT: [29, be16],
    RTA_NH_ID: [30, u32],
  },
);

export type RouteMessage = ReadOf<typeof route>;
export type RouteWrite = WriteOf<typeof route>;

/** Adds a route; NLM_F_REPLACE takes the place of one with the same destination, table and priority. */
export function newRoute(
  value: RouteWrite,
  flags: number = k.NLM_F_CREATE | k.NLM_F_EXCL,
): Request<RouteMessage> {
  return request('RTM_NEWROUTE', k.RTM_NEWROUTE, route, value, flags);
}

/** Removes the first route that matches: rtm_scope RT_SCOPE_NOWHERE, rtm_protocol and rtm_type 0 match any. */
export function delRoute(value: RouteWrite): Request<RouteMessage> {
  return request('RTM_DELROUTE', k.RTM_DELROUTE, route, value);
}

/**
 * As a dump: the routes of a family (the kernel filters by table, protocol, type, RTA_OIF). As a request:
 * the route that RTA_DST with rtm_dst_len 32 or 128 would take.
 */
export function getRoutes(value: RouteWrite = {}): Request<RouteMessage> {
  return request('RTM_GETROUTE', k.RTM_GETROUTE, route, value);
}
