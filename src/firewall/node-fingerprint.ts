import {
  type NftChainWrite,
  type NftRuleMessage,
  type NftRuleWrite,
  type NftTableWrite,
} from '../netlink/netfilter/nftables.ts';

/**
 * What rules, chains and tables do, as text to compare: for what the kernel has and for what we tell it alike,
 * without counters, handles and numbers of users.
 */

export const tableText = (table: NftTableWrite): string =>
  `table ${table.NFTA_TABLE_NAME} ${table.NFTA_TABLE_FLAGS ?? 0} ${hex(table.NFTA_TABLE_USERDATA)}`;

export function chainText(chain: NftChainWrite): string {
  const { NFTA_HOOK_HOOKNUM: hook, NFTA_HOOK_PRIORITY: priority } = chain.NFTA_CHAIN_HOOK ?? {};
  const { NFTA_CHAIN_NAME: name, NFTA_CHAIN_TYPE: type, NFTA_CHAIN_POLICY: policy } = chain;
  return `chain ${name} ${type} ${hook} ${priority} ${policy} ${hex(chain.NFTA_CHAIN_USERDATA)}`;
}

export function ruleText(rule: NftRuleWrite): string {
  const steps = expressionsOf(rule).map(({ NFTA_EXPR_NAME: name, NFTA_EXPR_DATA: data }) =>
    name === 'counter' ? name : `${name} ${hex(data)}`,
  );
  return ['rule', rule.NFTA_RULE_CHAIN, ...steps, hex(rule.NFTA_RULE_USERDATA)].join(' ');
}

/** Whether a rule leads to `chain` of its table. */
export const jumpsTo = (rule: NftRuleMessage, chain: string): boolean =>
  expressionsOf(rule).some(
    ({ NFTA_EXPR_NAME, NFTA_EXPR_DATA }) =>
      NFTA_EXPR_NAME === 'immediate' && Buffer.from(NFTA_EXPR_DATA ?? []).includes(`${chain}\0`),
  );

const expressionsOf = (rule: NftRuleWrite) => rule.NFTA_RULE_EXPRESSIONS?.NFTA_LIST_ELEM ?? [];
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex');
