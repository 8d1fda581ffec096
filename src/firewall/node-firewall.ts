import { Repairs } from '../kernel/repairs.ts';
import type { Family } from '../net/address.ts';
import { NF_DROP } from '../netlink/constants.ts';
import type { NftGenerationMessage } from '../netlink/netfilter/nftables.ts';
import type { Subscription } from '../netlink/subscription.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { IptablesWriter } from './iptables-writer.ts';
import type { LegacyKernel } from './legacy-kernel.ts';
import type { NftKernel } from './nft-kernel.ts';
import { NftablesWriter } from './nftables-writer.ts';
import {
  families,
  nodeRules,
  type NodeRulesInput,
  noRules,
  protocolOf,
  type RulesByFamily,
} from './node-rules.ts';
import type { Run } from './process.ts';
import type { RulesWriter } from './rules-writer.ts';

export interface NodeFirewallWorld {
  readonly run: Run;
  readonly nft: NftKernel;
  readonly legacy: LegacyKernel;
  /** Announcements of NFNLGRP_NFTABLES. */
  subscribe(
    onGeneration: (message: NftGenerationMessage) => void,
    onLost: (why: Error) => void,
  ): Subscription;
  readonly clock: Clock;
  readonly log: Log;
}

/** Milliseconds: a change of rules often comes in several transactions; others wait for theirs. */
const settleTime = 10;
/** Milliseconds: how often rules are looked at whose changes nobody announces. */
const lookInterval = 1000;
const backOff = { first: 500, longest: 15_000 };

/** One writer, what it is to write, and how it fares. */
interface Task {
  readonly writer: RulesWriter;
  /** False: there are to be none of its rules. */
  readonly used: boolean;
  problem?: string | undefined;
  /** Not to be tried before; {@link Clock.monotonic}. */
  until: number;
  wait: number;
}

/**
 * The node-wide rules, kept in place. Whenever the kernel announces a change of any rule, ours are read and compared
 * with how they should be; nothing is written and no process runs unless they differ. What another way of writing, an
 * earlier network or an earlier flag has left behind differs, too.
 */
export class NodeFirewall {
  readonly #world: NodeFirewallWorld;
  readonly #way: 'iptables' | 'nftables';
  readonly #tasks: readonly Task[];
  /** Families whose FORWARD chain of iptables drops what nftables accept. */
  readonly #dropping = new Set<Family>();
  #rules: RulesByFamily = noRules;
  /** They have been in place, as they are wanted now. */
  #settled = false;
  #subscription: Subscription | undefined;
  #next: { readonly at: number; cancel(): void } | undefined;
  readonly #repairs = new Repairs();
  #closed = false;
  #working: Promise<void> = Promise.resolve();

  constructor(way: 'iptables' | 'nftables', world: NodeFirewallWorld) {
    this.#world = world;
    this.#way = way;
    const { run, nft, legacy } = world;
    const iptables = [new IptablesWriter(4, run, nft, legacy), new IptablesWriter(6, run, nft, legacy)];
    const nftables = [new NftablesWriter(nft)];
    const [using, unused] = way === 'iptables' ? [iptables, nftables] : [nftables, iptables];
    const task = (writer: RulesWriter, used: boolean) => ({ writer, used, until: 0, wait: backOff.first });
    // First what is to be, then what is not: rules that are in force twice for a moment do no harm.
    this.#tasks = [
      ...using.map((writer) => task(writer, true)),
      ...unused.map((writer) => task(writer, false)),
    ];
  }

  /** Why the rules are not in place; undefined when they are. */
  get problem(): string | undefined {
    const problems = this.#tasks.flatMap(({ problem }) => problem ?? []);
    return problems.length === 0 ? undefined : `the firewall rules are not in place: ${problems.join('; ')}`;
  }

  /** Resolves after the first try, whatever comes of it: what fails is tried again, and named by {@link problem}. */
  async keep(input: NodeRulesInput): Promise<void> {
    const rules = { 4: nodeRules(input, 4), 6: nodeRules(input, 6) };
    if (JSON.stringify(rules) !== JSON.stringify(this.#rules)) {
      this.#settled = false;
      for (const task of this.#tasks) task.until = 0;
    }
    this.#rules = rules;
    if (!this.#closed) {
      const changed = () => this.#within(settleTime);
      this.#subscription ??= this.#world.subscribe(changed, changed);
    }
    await this.#look();
  }

  /** What {@link keep} would write, for people; changes nothing. Rejects with an Error when that cannot be known. */
  async plan(input: NodeRulesInput): Promise<string[]> {
    const rules = { 4: nodeRules(input, 4), 6: nodeRules(input, 6) };
    const plans = this.#tasks.map(({ writer, used }) => writer.plan(used ? rules : noRules));
    return (await Promise.all(plans)).flat();
  }

  /** Ends it; the rules stay. */
  close(): void {
    this.#closed = true;
    this.#next?.cancel();
    this.#subscription?.close();
    this.#world.nft.close();
    this.#world.legacy.close();
  }

  /** The next look, in so many milliseconds at the latest. */
  #within(milliseconds: number): void {
    const { clock } = this.#world;
    const at = clock.monotonic() + milliseconds;
    if (this.#closed || (this.#next !== undefined && this.#next.at <= at)) return;
    this.#next?.cancel();
    const cancel = clock.after(milliseconds, () => {
      this.#next = undefined;
      void this.#look();
    });
    this.#next = { at, cancel };
  }

  #look(): Promise<void> {
    this.#working = this.#working.then(() => this.#work());
    return this.#working;
  }

  async #work(): Promise<void> {
    for (const task of this.#tasks) {
      if (this.#closed) return;
      if (task.until <= this.#world.clock.monotonic()) await this.#do(task);
    }
    if (this.problem === undefined) this.#settled = true;
    const now = this.#world.clock.monotonic();
    for (const { problem, until, writer } of this.#tasks) {
      if (problem !== undefined) this.#within(Math.max(0, until - now));
      if (writer.silent) this.#within(lookInterval);
    }
  }

  /** No rule of one table overrules a drop in another: told once, and again when it was over in between. */
  #tellOfDrops(): void {
    const { nft, log } = this.#world;
    for (const family of families) {
      const drops =
        this.#rules[family].forward !== undefined &&
        nft.chain(protocolOf[family], 'filter', 'FORWARD')?.NFTA_CHAIN_POLICY === NF_DROP;
      if (!drops) this.#dropping.delete(family);
      else if (!this.#dropping.has(family)) {
        this.#dropping.add(family);
        const iptables = family === 4 ? 'iptables' : 'ip6tables';
        log.warn(
          {},
          `the FORWARD chain of ${iptables} drops by default, which rules of nftables cannot overrule: pods of this node do not ` +
            `reach other nodes; run "${iptables} -P FORWARD ACCEPT", or let iptables have the rules (no EnableNFTables in net-conf.json)`,
        );
      }
    }
  }

  async #do(task: Task): Promise<void> {
    const { log, clock } = this.#world;
    const { writer, used } = task;
    const rules = used ? this.#rules : noRules;
    try {
      if (!writer.inPlace(rules)) {
        this.#countRepair();
        await writer.put(rules);
        if (this.#settled) log.info({ by: writer.name }, 'firewall rules that somebody changed are back');
      }
      if (used && this.#way === 'nftables') this.#tellOfDrops();
      if (task.problem !== undefined) log.info({ by: writer.name }, 'the firewall rules are in place again');
      Object.assign(task, { problem: undefined, until: 0, wait: backOff.first });
    } catch (error) {
      if (this.#closed) return;
      const problem = error instanceof Error ? error.message : String(error);
      if (problem !== task.problem) {
        log.error({ wait: task.wait }, `the firewall rules are not in place: ${problem}`);
      }
      const until = clock.monotonic() + task.wait;
      Object.assign(task, { problem, until, wait: Math.min(2 * task.wait, backOff.longest) });
    }
  }

  #countRepair(): void {
    if (this.#settled && !this.#repairs.mayRepair(this.#world.clock.monotonic())) {
      throw new Error('another program changes them all the time; find it with `nft monitor`');
    }
  }
}
