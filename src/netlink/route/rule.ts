import { address } from '../binary.ts';
import * as k from '../constants.ts';
import { messageCodec, type ReadOf, type Request, request, type WriteOf } from '../message.ts';
import { u16, u32, u8 } from '../scalar.ts';
import { struct } from '../struct.ts';
import { string } from '../text.ts';

const portRange = struct({ start: u16, end: u16 });

/** RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE: struct fib_rule_hdr (linux/fib_rules.h). */
export const rule = messageCodec(
  struct({
    family: u8,
    dst_len: u8,
    src_len: u8,
    tos: u8,
    table: u8,
    res1: u8,
    res2: u8,
    action: u8,
    flags: u32,
  }),
  {
    FRA_DST: [1, address],
    FRA_SRC: [2, address],
    FRA_IIFNAME: [3, string],
    FRA_GOTO: [4, u32],
    FRA_PRIORITY: [6, u32],
    FRA_FWMARK: [10, u32],
    FRA_FLOW: [11, u32],
    FRA_SUPPRESS_IFGROUP: [13, u32],
    FRA_SUPPRESS_PREFIXLEN: [14, u32],
    FRA_TABLE: [15, u32],
    FRA_FWMASK: [16, u32],
    FRA_OIFNAME: [17, string],
    FRA_L3MDEV: [19, u8],
    FRA_UID_RANGE: [20, struct({ start: u32, end: u32 })],
    FRA_PROTOCOL: [21, u8],
    FRA_IP_PROTO: [22, u8],
    FRA_SPORT_RANGE: [23, portRange],
    FRA_DPORT_RANGE: [24, portRange],
  },
);

export type RuleMessage = ReadOf<typeof rule>;
export type RuleWrite = WriteOf<typeof rule>;

export function newRule(
  value: RuleWrite,
  flags: number = k.NLM_F_CREATE | k.NLM_F_EXCL,
): Request<RuleMessage> {
  return request('RTM_NEWRULE', k.RTM_NEWRULE, rule, value, flags);
}

export function delRule(value: RuleWrite): Request<RuleMessage> {
  return request('RTM_DELRULE', k.RTM_DELRULE, rule, value);
}

/** To be dumped: the rules of a family. */
export function getRules(family: number): Request<RuleMessage> {
  return request('RTM_GETRULE', k.RTM_GETRULE, rule, { family });
}
