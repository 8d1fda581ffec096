import { binary } from '../binary.ts';
import * as k from '../constants.ts';
import { nested } from '../nested.ts';
import type { Payload } from '../payload.ts';
import { be32 } from '../scalar.ts';
import { Writer } from '../writer.ts';

/** One step of a rule: loads into a register, compares, or ends it (linux/netfilter/nf_tables.h, NFTA_EXPR_*). */
export interface NftExpression {
  readonly NFTA_EXPR_NAME: string;
  readonly NFTA_EXPR_DATA: Uint8Array;
}

/** Each table in the order in which the kernel shows it, so that what is there can be compared byte by byte. */
const data = nested({ NFTA_DATA_VALUE: [1, binary] });
const meta = nested({ NFTA_META_KEY: [2, be32], NFTA_META_DREG: [1, be32] });
const payload = nested({
  NFTA_PAYLOAD_DREG: [1, be32],
  NFTA_PAYLOAD_BASE: [2, be32],
  NFTA_PAYLOAD_OFFSET: [3, be32],
  NFTA_PAYLOAD_LEN: [4, be32],
});
const bitwise = nested({
  NFTA_BITWISE_SREG: [1, be32],
  NFTA_BITWISE_DREG: [2, be32],
  NFTA_BITWISE_LEN: [3, be32],
  NFTA_BITWISE_OP: [6, be32],
  NFTA_BITWISE_MASK: [4, data],
  NFTA_BITWISE_XOR: [5, data],
});
const cmp = nested({ NFTA_CMP_SREG: [1, be32], NFTA_CMP_OP: [2, be32], NFTA_CMP_DATA: [3, data] });
const verdict = nested({ NFTA_VERDICT_CODE: [1, be32] });
const immediate = nested({
  NFTA_IMMEDIATE_DREG: [1, be32],
  NFTA_IMMEDIATE_DATA: [2, nested({ NFTA_DATA_VERDICT: [2, verdict] })],
});
const masq = nested({ NFTA_MASQ_FLAGS: [1, be32] });

function expression<T>(name: string, table: Payload<T>, value: T): NftExpression {
  const writer = new Writer();
  table.encode(writer, value);
  return { NFTA_EXPR_NAME: name, NFTA_EXPR_DATA: writer.written };
}

/** Loads the packet's mark. */
export const loadMark = (): NftExpression =>
  expression('meta', meta, { NFTA_META_KEY: k.NFT_META_MARK, NFTA_META_DREG: k.NFT_REG_1 });

/** Loads bytes of the IP header. */
export const loadHeader = (offset: number, length: number): NftExpression =>
  expression('payload', payload, {
    NFTA_PAYLOAD_DREG: k.NFT_REG_1,
    NFTA_PAYLOAD_BASE: k.NFT_PAYLOAD_NETWORK_HEADER,
    NFTA_PAYLOAD_OFFSET: offset,
    NFTA_PAYLOAD_LEN: length,
  });

/** Keeps the bits of `mask` of what was loaded. */
export const maskWith = (mask: Uint8Array): NftExpression =>
  expression('bitwise', bitwise, {
    NFTA_BITWISE_SREG: k.NFT_REG_1,
    NFTA_BITWISE_DREG: k.NFT_REG_1,
    NFTA_BITWISE_LEN: mask.length,
    NFTA_BITWISE_OP: 0,
    NFTA_BITWISE_MASK: { NFTA_DATA_VALUE: mask },
    NFTA_BITWISE_XOR: { NFTA_DATA_VALUE: new Uint8Array(mask.length) },
  });

/** Ends the rule unless what was loaded is, or with `not` is not, `value`. */
export const compareWith = (value: Uint8Array, not = false): NftExpression =>
  expression('cmp', cmp, {
    NFTA_CMP_SREG: k.NFT_REG_1,
    NFTA_CMP_OP: not ? k.NFT_CMP_NEQ : k.NFT_CMP_EQ,
    NFTA_CMP_DATA: { NFTA_DATA_VALUE: value },
  });

/** `code`: NF_ACCEPT or NFT_RETURN. */
export const decide = (code: number): NftExpression =>
  expression('immediate', immediate, {
    NFTA_IMMEDIATE_DREG: k.NFT_REG_VERDICT,
    NFTA_IMMEDIATE_DATA: { NFTA_DATA_VERDICT: { NFTA_VERDICT_CODE: code >>> 0 } },
  });

export const masquerade = (randomFully: boolean): NftExpression =>
  expression('masq', masq, randomFully ? { NFTA_MASQ_FLAGS: k.NF_NAT_RANGE_PROTO_RANDOM_FULLY } : {});
