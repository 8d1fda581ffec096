import type { Family } from '../net/address.ts';
import type { Request } from '../netlink/message.ts';
import {
  delNftChain,
  delNftRule,
  newNftChain,
  newNftRule,
  type NftRuleMessage,
} from '../netlink/netfilter/nftables.ts';
import type { LegacyKernel } from './legacy-kernel.ts';
import { legacyChainText } from './legacy-table.ts';
import type { NftKernel } from './nft-kernel.ts';
import { jumpsTo, ruleText } from './node-fingerprint.ts';
import { protocolOf } from './node-rules.ts';
import { iptablesChains } from './node-rules-iptables.ts';

/** What the kernel has of the rules that one of the two iptables writes for one family. */
export interface IptablesRules {
  look(): IptablesSight;
}

export interface IptablesSight {
  /** The chains, their rules in their order and the jumps to them, to compare; empty when there are none. */
  readonly text: string;
  /**
   * Makes it so again, in one transaction and in the kernel's own words: no program is needed to spell them. A jump that
   * is right stays where it is. Throws a NetlinkError where the kernel's own chains are gone, too. Undefined: nobody
   * but the program can.
   */
  readonly putBack?: () => void;
}

/** One chain with the jumps to it, as the kernel showed them once. */
interface ChainSnapshot {
  readonly table: string;
  readonly base: string;
  readonly chain: string;
  readonly rules: readonly NftRuleMessage[];
  readonly jumps: readonly NftRuleMessage[];
}

/** Those of iptables-nft. */
export class NftIptablesRules implements IptablesRules {
  readonly #kernel: NftKernel;
  readonly #protocol: number;

  constructor(kernel: NftKernel, family: Family) {
    this.#kernel = kernel;
    this.#protocol = protocolOf[family];
  }

  look(): IptablesSight {
    const snapshot = this.#present().map(({ table, base, chain }) => ({
      table,
      base,
      chain,
      rules: this.#kernel.rules(this.#protocol, table, chain),
      // Others' rules around the jump are their own business.
      jumps: this.#jumps(table, base, chain),
    }));
    return {
      text: snapshot
        .flatMap(({ table, chain, rules, jumps }) => [
          `${table} ${chain}`,
          ...rules.map(ruleText),
          ...jumps.map(ruleText),
        ])
        .join('\n'),
      putBack: () => this.#kernel.change(snapshot.flatMap((was) => this.#renewal(was))),
    };
  }

  #renewal({ table, base, chain, rules, jumps }: ChainSnapshot): Request[] {
    const nfgen_family = this.#protocol;
    const found = this.#jumps(table, base, chain);
    const jumped = found.map(ruleText).join('\n') === jumps.map(ruleText).join('\n');
    return [
      newNftChain({ nfgen_family, NFTA_CHAIN_TABLE: table, NFTA_CHAIN_NAME: chain }),
      delNftRule({ nfgen_family, NFTA_RULE_TABLE: table, NFTA_RULE_CHAIN: chain }),
      ...rules.map(again),
      ...(jumped ? [] : [...found.map((jump) => this.#deletion(jump)), ...jumps.map(again)]),
    ];
  }

  #deletion({ NFTA_RULE_TABLE, NFTA_RULE_CHAIN, NFTA_RULE_HANDLE }: NftRuleMessage): Request {
    return delNftRule({ nfgen_family: this.#protocol, NFTA_RULE_TABLE, NFTA_RULE_CHAIN, NFTA_RULE_HANDLE });
  }

  /** Takes all of it away at once; no program is needed. */
  remove(): void {
    const nfgen_family = this.#protocol;
    const changes = this.#present().flatMap(({ table, base, chain }): Request[] => [
      ...this.#jumps(table, base, chain).map((jump) => this.#deletion(jump)),
      delNftRule({ nfgen_family, NFTA_RULE_TABLE: table, NFTA_RULE_CHAIN: chain }),
      delNftChain({ nfgen_family, NFTA_CHAIN_TABLE: table, NFTA_CHAIN_NAME: chain }),
    ]);
    this.#kernel.change(changes);
  }

  #present() {
    return iptablesChains.filter(
      ({ table, chain }) => this.#kernel.chain(this.#protocol, table, chain) !== undefined,
    );
  }

  #jumps(table: string, base: string, chain: string) {
    return this.#kernel.rules(this.#protocol, table, base).filter((rule) => jumpsTo(rule, chain));
  }
}

/** The rule without what is the kernel's to give. */
const again = ({
  NFTA_RULE_HANDLE: _handle,
  NFTA_RULE_POSITION: _position,
  ...rule
}: NftRuleMessage): Request => newNftRule(rule);

/** Those of the legacy iptables, which announces nothing. */
export class LegacyIptablesRules implements IptablesRules {
  readonly #kernel: LegacyKernel;
  readonly #family: Family;

  constructor(kernel: LegacyKernel, family: Family) {
    this.#kernel = kernel;
    this.#family = family;
  }

  look(): IptablesSight {
    const used = this.#kernel.tables(this.#family);
    const text = iptablesChains
      .flatMap(({ table, hook, chain }) => {
        if (!used.includes(table)) return [];
        const text = legacyChainText(this.#kernel.read(this.#family, table), hook, chain);
        return text === undefined ? [] : [`${table} ${chain}`, text];
      })
      .join('\n');
    return { text };
  }
}
