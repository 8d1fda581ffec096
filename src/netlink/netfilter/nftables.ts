import { repeated } from '../attributes.ts';
import { binary } from '../binary.ts';
import * as k from '../constants.ts';
import type { Frame } from '../message.ts';
import { messageCodec, type ReadOf, type Request, request } from '../message.ts';
import { nested } from '../nested.ts';
import { be16, be32, u8 } from '../scalar.ts';
import { struct } from '../struct.ts';
import { string } from '../text.ts';

/** struct nfgenmsg (linux/netfilter/nfnetlink.h), the header of every netfilter message. */
const nfgenmsg = struct({ nfgen_family: u8, version: u8, res_id: be16 });

const expressions = nested({
  NFTA_LIST_ELEM: [1, repeated(nested({ NFTA_EXPR_NAME: [1, string], NFTA_EXPR_DATA: [2, binary] }))],
});

/** NFT_MSG_NEWRULE, NFT_MSG_DELRULE, NFT_MSG_GETRULE (linux/netfilter/nf_tables.h). What an expression holds is left as bytes. */
export const nftRule = messageCodec(nfgenmsg, {
  NFTA_RULE_TABLE: [1, string],
  NFTA_RULE_CHAIN: [2, string],
  NFTA_RULE_HANDLE: [3, binary],
  NFTA_RULE_EXPRESSIONS: [4, expressions],
  NFTA_RULE_COMPAT: [5, binary],
  NFTA_RULE_POSITION: [6, binary],
  NFTA_RULE_USERDATA: [7, binary],
});

/** NFT_MSG_NEWGEN: the number that grows with every change of any rule. */
export const nftGeneration = messageCodec(nfgenmsg, {
  NFTA_GEN_ID: [1, be32],
  NFTA_GEN_PROC_PID: [2, be32],
  NFTA_GEN_PROC_NAME: [3, string],
});

export type NftRuleMessage = ReadOf<typeof nftRule>;
export type NftGenerationMessage = ReadOf<typeof nftGeneration>;

const typeOf = (message: number): number => (k.NFNL_SUBSYS_NFTABLES << 8) | message;

/**
 * The rules of one chain, in their order; to be dumped on a NETLINK_NETFILTER socket. A chain or table that is not
 * there has none. `family` is AF_INET, AF_INET6 or another NFPROTO_*.
 */
export function getNftRules(family: number, table: string, chain: string): Request<NftRuleMessage> {
  return request('NFT_MSG_GETRULE', typeOf(k.NFT_MSG_GETRULE), nftRule, {
    nfgen_family: family,
    NFTA_RULE_TABLE: table,
    NFTA_RULE_CHAIN: chain,
  });
}

/** The present generation; EOPNOTSUPP or EINVAL from a kernel without nf_tables. */
export function getNftGeneration(): Request<NftGenerationMessage> {
  return request('NFT_MSG_GETGEN', typeOf(k.NFT_MSG_GETGEN), nftGeneration, {});
}

/** Reads an announcement of NFNLGRP_NFTABLES: a change's last message names its generation. Undefined for all others. */
export function decodeNftGeneration({ type, view, start, end }: Frame): NftGenerationMessage | undefined {
  return type === typeOf(k.NFT_MSG_NEWGEN) ? nftGeneration.decode(view, start, end) : undefined;
}
