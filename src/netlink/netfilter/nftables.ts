import { repeated } from '../attributes.ts';
import { binary } from '../binary.ts';
import * as k from '../constants.ts';
import type { Frame } from '../message.ts';
import { messageCodec, type ReadOf, type Request, request, type WriteOf } from '../message.ts';
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

/** NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_GETTABLE. The comment stands in NFTA_TABLE_USERDATA; see {@link nftComment}. */
export const nftTable = messageCodec(nfgenmsg, {
  NFTA_TABLE_NAME: [1, string],
  NFTA_TABLE_FLAGS: [2, be32],
  NFTA_TABLE_USE: [3, be32],
  NFTA_TABLE_HANDLE: [4, binary],
  NFTA_TABLE_USERDATA: [6, binary],
  NFTA_TABLE_OWNER: [7, be32],
});

/** NFT_MSG_NEWCHAIN, NFT_MSG_DELCHAIN, NFT_MSG_GETCHAIN. Only a base chain has a hook, a type and a policy. */
export const nftChain = messageCodec(nfgenmsg, {
  NFTA_CHAIN_TABLE: [1, string],
  NFTA_CHAIN_HANDLE: [2, binary],
  NFTA_CHAIN_NAME: [3, string],
  NFTA_CHAIN_HOOK: [4, nested({ NFTA_HOOK_HOOKNUM: [1, be32], NFTA_HOOK_PRIORITY: [2, be32] })],
  NFTA_CHAIN_POLICY: [5, be32],
  NFTA_CHAIN_USE: [6, be32],
  NFTA_CHAIN_TYPE: [7, string],
  NFTA_CHAIN_COUNTERS: [8, binary],
  NFTA_CHAIN_FLAGS: [10, be32],
  NFTA_CHAIN_USERDATA: [12, binary],
});

/** NFT_MSG_NEWGEN: the number that grows with every change of any rule. */
export const nftGeneration = messageCodec(nfgenmsg, {
  NFTA_GEN_ID: [1, be32],
  NFTA_GEN_PROC_PID: [2, be32],
  NFTA_GEN_PROC_NAME: [3, string],
});

/** NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END: nothing but the header. */
const batchMark = messageCodec(nfgenmsg, {});

export type NftTableMessage = ReadOf<typeof nftTable>;
export type NftTableWrite = WriteOf<typeof nftTable>;
export type NftChainMessage = ReadOf<typeof nftChain>;
export type NftChainWrite = WriteOf<typeof nftChain>;
export type NftRuleMessage = ReadOf<typeof nftRule>;
export type NftRuleWrite = WriteOf<typeof nftRule>;
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

/** One table by its name: ENOENT when it is not there. */
export function getNftTable(family: number, table: string): Request<NftTableMessage> {
  const value = { nfgen_family: family, NFTA_TABLE_NAME: table };
  return request('NFT_MSG_GETTABLE', typeOf(k.NFT_MSG_GETTABLE), nftTable, value);
}

/** One chain by its name: ENOENT when it, or its table, is not there. */
export function getNftChain(family: number, table: string, chain: string): Request<NftChainMessage> {
  const value = { nfgen_family: family, NFTA_CHAIN_TABLE: table, NFTA_CHAIN_NAME: chain };
  return request('NFT_MSG_GETCHAIN', typeOf(k.NFT_MSG_GETCHAIN), nftChain, value);
}

/** Makes a table; one that is there stays as it is. This and all changes go into an {@link nftTransaction}. */
export const newNftTable = (value: NftTableWrite): Request =>
  request('NFT_MSG_NEWTABLE', typeOf(k.NFT_MSG_NEWTABLE), nftTable, value, k.NLM_F_CREATE);

/** Takes away a table with all that is in it. */
export const delNftTable = (value: NftTableWrite): Request =>
  request('NFT_MSG_DELTABLE', typeOf(k.NFT_MSG_DELTABLE), nftTable, value);

export const newNftChain = (value: NftChainWrite): Request =>
  request('NFT_MSG_NEWCHAIN', typeOf(k.NFT_MSG_NEWCHAIN), nftChain, value, k.NLM_F_CREATE);

/** EBUSY while a rule jumps to it. */
export const delNftChain = (value: NftChainWrite): Request =>
  request('NFT_MSG_DELCHAIN', typeOf(k.NFT_MSG_DELCHAIN), nftChain, value);

/** Adds a rule at the end of its chain. */
export const newNftRule = (value: NftRuleWrite): Request =>
  request('NFT_MSG_NEWRULE', typeOf(k.NFT_MSG_NEWRULE), nftRule, value, k.NLM_F_CREATE | k.NLM_F_APPEND);

/** Takes away the rule with NFTA_RULE_HANDLE, or all of the chain. */
export const delNftRule = (value: NftRuleWrite): Request =>
  request('NFT_MSG_DELRULE', typeOf(k.NFT_MSG_DELRULE), nftRule, value);

/** The changes as one transaction, for SyncSession.allOrNothing. */
export function nftTransaction(changes: readonly Request[]): Request[] {
  const mark = { res_id: k.NFNL_SUBSYS_NFTABLES };
  return [
    request('NFNL_MSG_BATCH_BEGIN', k.NFNL_MSG_BATCH_BEGIN, batchMark, mark),
    ...changes,
    request('NFNL_MSG_BATCH_END', k.NFNL_MSG_BATCH_END, batchMark, mark),
  ];
}

/** A comment as nft keeps it in a table's or chain's user data: one TLV of type 0 (libnftnl/udata.h). */
export function nftComment(text: string): Uint8Array {
  const bytes = Buffer.from(`${text}\0`);
  return Buffer.concat([Buffer.of(0, bytes.length), bytes]);
}

/** The present generation; EOPNOTSUPP or EINVAL from a kernel without nf_tables. */
export function getNftGeneration(): Request<NftGenerationMessage> {
  return request('NFT_MSG_GETGEN', typeOf(k.NFT_MSG_GETGEN), nftGeneration, {});
}

/** Reads an announcement of NFNLGRP_NFTABLES: a change's last message names its generation. Undefined for all others. */
export function decodeNftGeneration({ type, view, start, end }: Frame): NftGenerationMessage | undefined {
  return type === typeOf(k.NFT_MSG_NEWGEN) ? nftGeneration.decode(view, start, end) : undefined;
}
