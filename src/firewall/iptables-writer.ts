import type { Family } from '../net/address.ts';
import { isNetlinkError } from '../netlink/error.ts';
import {
  type IptablesRules,
  type IptablesSight,
  LegacyIptablesRules,
  NftIptablesRules,
} from './iptables-rules.ts';
import type { LegacyKernel } from './legacy-kernel.ts';
import type { NftKernel } from './nft-kernel.ts';
import type { NodeRules, RulesByFamily } from './node-rules.ts';
import { iptablesNodeRules } from './node-rules-iptables.ts';
import type { Outcome, Run } from './process.ts';
import type { RulesWriter } from './rules-writer.ts';

/** How often the rules are written before somebody else must be writing them too. */
const attempts = 5;
/** Longer than any healthy holder keeps the lock. */
const lockSeconds = 30;

/**
 * The rules of one family by iptables or ip6tables, whichever of the two kinds this machine has: written by its
 * programs, for only they know how they want to find them; looked at without any. Of the kind that this machine does
 * not use, and of a family that has no rules, nothing stays.
 */
export class IptablesWriter implements RulesWriter {
  readonly name: string;
  readonly #family: Family;
  readonly #run: Run;
  readonly #nft: NftIptablesRules;
  readonly #legacy: LegacyIptablesRules;
  #isLegacy: boolean | undefined;
  /** How the kernel showed the rules when they were right. */
  #right: (IptablesSight & { readonly rules: string }) | undefined;

  constructor(family: Family, run: Run, nft: NftKernel, legacy: LegacyKernel) {
    this.name = family === 4 ? 'iptables' : 'ip6tables';
    this.#family = family;
    this.#run = run;
    this.#nft = new NftIptablesRules(nft, family);
    this.#legacy = new LegacyIptablesRules(legacy, family);
  }

  get silent(): boolean {
    return this.#right !== undefined && this.#isLegacy === true;
  }

  inPlace(rules: RulesByFamily): boolean {
    const own = rules[this.#family];
    if (isEmpty(own)) return this.#nft.look().text === '' && this.#legacy.look().text === '';
    if (this.#right === undefined || this.#right.rules !== JSON.stringify(own)) return false;
    const [used, other] = this.#sides();
    return used.look().text === this.#right.text && other.look().text === '';
  }

  async plan(rules: RulesByFamily): Promise<string[]> {
    const own = rules[this.#family];
    if (isEmpty(own)) return this.inPlace(rules) ? [] : [`${this.name}: no chain of flannel's stays`];
    const change = iptablesNodeRules(own, await this.#must(`${this.name}-save`, []));
    const lines = change?.trimEnd().split('\n') ?? [];
    return lines.map((line) => `${this.name}: ${line}`);
  }

  async put(rules: RulesByFamily): Promise<void> {
    const own = rules[this.#family];
    if (isEmpty(own)) {
      this.#right = undefined;
      this.#nft.remove();
      return this.#removeLegacy();
    }
    this.#isLegacy ??= !(await this.#version()).includes('nf_tables');
    await this.#write(own);
    if (this.#isLegacy) this.#nft.remove();
    else await this.#removeLegacy();
  }

  /** `iptables-save v1.8.9 (nf_tables)`; where the one that is asked first does not know the question, the other does. */
  async #version(): Promise<string> {
    const { code, stdout } = await this.#run(`${this.name}-save`, ['-V']);
    return code === 0 ? stdout : this.#must(this.name, ['-V']);
  }

  #sides(): [used: IptablesRules, other: IptablesRules] {
    return this.#isLegacy === true ? [this.#legacy, this.#nft] : [this.#nft, this.#legacy];
  }

  /** What is seen before the text is found right is how it looks when it is right: a change after it is seen next time. */
  async #write(own: NodeRules): Promise<void> {
    const rules = JSON.stringify(own);
    const [used] = this.#sides();
    for (let attempt = 0; attempt <= attempts; attempt++) {
      const sight = used.look();
      if (this.#right?.rules === rules) {
        if (this.#right.text === sight.text) return;
        if (attempt === 0 && this.#isPutBack(this.#right)) continue;
      }
      const change = iptablesNodeRules(own, await this.#must(`${this.name}-save`, []));
      if (change === undefined) {
        this.#right = { rules, ...sight };
        return;
      }
      await this.#restore(this.name, change);
    }
    throw new Error('another program changes them all the time; see `nft monitor`');
  }

  #isPutBack({ putBack }: IptablesSight): boolean {
    try {
      putBack?.();
      return putBack !== undefined;
    } catch (error) {
      // The kernel's own chains are gone as well: iptables makes them anew.
      if (isNetlinkError(error)) return false;
      throw error;
    }
  }

  /** The legacy tables can be written by the legacy programs alone. */
  async #removeLegacy(): Promise<void> {
    if (this.#legacy.look().text === '') return;
    const program = `${this.name}-legacy`;
    const change = iptablesNodeRules({}, await this.#must(`${program}-save`, []));
    if (change !== undefined) await this.#restore(program, change);
  }

  async #restore(program: string, change: string): Promise<void> {
    await this.#must(`${program}-restore`, ['--noflush', '--wait', String(lockSeconds)], change);
  }

  async #must(program: string, args: readonly string[], stdin?: string): Promise<string> {
    const outcome = await this.#run(program, args, stdin);
    if (outcome.code !== 0) throw new Error(reason(program, outcome));
    return outcome.stdout;
  }
}

const isEmpty = ({ masquerade, forward }: NodeRules): boolean =>
  masquerade === undefined && forward === undefined;

function reason(program: string, { code, stderr }: Outcome): string {
  if (code === -1 && stderr.includes('ENOENT')) {
    return program.includes('legacy')
      ? `chains of the legacy iptables are left over, and there is no program ${program} to remove them; install it, or restart this machine`
      : `there is no program ${program}; install it, or set EnableNFTables in net-conf.json, which needs no program`;
  }
  return `${program}: ${stderr.trim() || `exit status ${code}`}`;
}
