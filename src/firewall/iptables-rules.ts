import type { Family } from '../net/address.ts';
import type { Request } from '../netlink/message.ts';
import { delNftChain, delNftRule } from '../netlink/netfilter/nftables.ts';
import type { LegacyKernel } from './legacy-kernel.ts';
import { legacyChainText } from './legacy-table.ts';
import type { NftKernel } from './nft-kernel.ts';
import { jumpsTo, ruleText } from './node-fingerprint.ts';
import { protocolOf } from './node-rules.ts';
import { iptablesChains } from './node-rules-iptables.ts';

/** What the kernel has of the rules that one of the two iptables writes for one family. */
export interface IptablesRules {
  /** The chains, their rules in their order and the jumps to them, as text to compare; empty when there are none. */
  look(): string;
}

/** Those of iptables-nft. */
export class NftIptablesRules implements IptablesRules {
  readonly #kernel: NftKernel;
  readonly #protocol: number;

  constructor(kernel: NftKernel, family: Family) {
    this.#kernel = kernel;
    this.#protocol = protocolOf[family];
  }

  look(): string {
    return this.#present()
      .flatMap(({ table, base, chain }) => [
        `${table} ${chain}`,
        ...this.#kernel.rules(this.#protocol, table, chain).map(ruleText),
        // Others' rules around the jump are their own business.
        ...this.#jumps(table, base, chain).map(ruleText),
      ])
      .join('\n');
  }

  /** Takes all of it away at once; no program is needed. */
  remove(): void {
    const nfgen_family = this.#protocol;
    const changes = this.#present().flatMap(({ table, base, chain }): Request[] => [
      ...this.#jumps(table, base, chain).map(({ NFTA_RULE_HANDLE }) =>
        delNftRule({ nfgen_family, NFTA_RULE_TABLE: table, NFTA_RULE_CHAIN: base, NFTA_RULE_HANDLE }),
      ),
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

/** Those of the legacy iptables, which announces nothing. */
export class LegacyIptablesRules implements IptablesRules {
  readonly #kernel: LegacyKernel;
  readonly #family: Family;

  constructor(kernel: LegacyKernel, family: Family) {
    this.#kernel = kernel;
    this.#family = family;
  }

  look(): string {
    const used = this.#kernel.tables(this.#family);
    return iptablesChains
      .flatMap(({ table, hook, chain }) => {
        if (!used.includes(table)) return [];
        const text = legacyChainText(this.#kernel.read(this.#family, table), hook, chain);
        return text === undefined ? [] : [`${table} ${chain}`, text];
      })
      .join('\n');
  }
}
