import type { Family } from '../net/address.ts';
import type { Request } from '../netlink/message.ts';
import { delNftTable, newNftChain, newNftRule, newNftTable } from '../netlink/netfilter/nftables.ts';
import type { NftKernel } from './nft-kernel.ts';
import { chainText, ruleText, tableText } from './node-fingerprint.ts';
import { families, protocolOf, type RulesByFamily } from './node-rules.ts';
import { nftablesChains, type NftablesTable, nftablesTable, nftablesTables } from './node-rules-nftables.ts';
import type { RulesWriter } from './rules-writer.ts';

const attempts = 5;

/** The rules in tables of their own, written and read over netlink: no program is needed. */
export class NftablesWriter implements RulesWriter {
  readonly name = 'nftables';
  readonly silent = false;
  readonly #kernel: NftKernel;
  /** What the kernel showed after it was told, where it shows it otherwise than it was told (older ones do). */
  readonly #shown = new Map<string, string>();

  constructor(kernel: NftKernel) {
    this.#kernel = kernel;
  }

  inPlace(rules: RulesByFamily): boolean {
    return families.every((family) => this.#isRight(family, nftablesTable(rules[family], family)));
  }

  plan(rules: RulesByFamily): Promise<string[]> {
    const wrong = families.filter((family) => !this.#isRight(family, nftablesTable(rules[family], family)));
    return Promise.resolve(wrong.map((family) => `${this.name}: table ${nftablesTables[family]}`));
  }

  /** One transaction for both families; a family that is right is left alone. */
  async put(rules: RulesByFamily): Promise<void> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const wrong = families.flatMap((family) => {
        const table = nftablesTable(rules[family], family);
        return this.#isRight(family, table) ? [] : [{ family, table }];
      });
      if (wrong.length === 0) return;
      const before = this.#kernel.generation();
      this.#kernel.change(wrong.flatMap(({ family, table }) => renewal(family, table)));
      const shown = wrong.map(({ family, table }) => [textOf(table), this.#look(family)] as const);
      // One transaction is one generation: when more have passed, somebody else wrote too.
      if (this.#kernel.generation() !== (before + 1) >>> 0) continue;
      for (const [told, looked] of shown) this.#shown.set(told, looked);
    }
    throw new Error('nf_tables does not show what it was told');
  }

  #isRight(family: Family, table: NftablesTable | undefined): boolean {
    const told = textOf(table);
    const looked = this.#look(family);
    return looked === told || (told !== '' && looked === this.#shown.get(told));
  }

  #look(family: Family): string {
    const name = nftablesTables[family];
    const protocol = protocolOf[family];
    const table = this.#kernel.table(protocol, name);
    if (table === undefined) return '';
    const chains = nftablesChains.flatMap(({ chain }) => this.#kernel.chain(protocol, name, chain) ?? []);
    const rules = nftablesChains.flatMap(({ chain }) => this.#kernel.rules(protocol, name, chain));
    return textOf({ table, chains, rules });
  }
}

function textOf(table: NftablesTable | undefined): string {
  if (table === undefined) return '';
  return [tableText(table.table), ...table.chains.map(chainText), ...table.rules.map(ruleText)].join('\n');
}

/** Only what is there can be taken away, so it is made first. */
function renewal(family: Family, table: NftablesTable | undefined): Request[] {
  const name = { nfgen_family: protocolOf[family], NFTA_TABLE_NAME: nftablesTables[family] };
  const gone = [newNftTable(name), delNftTable(name)];
  if (table === undefined) return gone;
  const { chains, rules } = table;
  return [...gone, newNftTable(table.table), ...chains.map(newNftChain), ...rules.map(newNftRule)];
}
