import type { Family } from '../net/address.ts';
import { getNftGeneration, type NftGenerationMessage } from '../netlink/netfilter/nftables.ts';
import type { SyncSession } from '../netlink/session.ts';
import type { Subscription } from '../netlink/subscription.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { nodeFingerprint, type NodeFirewallWriter } from './node-fingerprint.ts';
import { families, nodeRules, type NodeRules, type NodeRulesInput } from './node-rules.ts';
import { iptablesNodeRules } from './node-rules-iptables.ts';
import { nftablesNodeRules } from './node-rules-nftables.ts';
import type { Outcome, Run } from './process.ts';

export interface NodeFirewallWorld {
  readonly run: Run;
  /** NETLINK_NETFILTER in the node's namespace. */
  readonly session: SyncSession;
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
const backOff = { first: 500, longest: 15_000 };
/** How often the rules are written before somebody else must be writing them too. */
const attempts = 5;
const lockSeconds = 30;
const nothing: Readonly<Record<Family, NodeRules>> = { 4: {}, 6: {} };

/**
 * The node-wide rules, kept in place. Whenever the kernel announces a change of any rule, ours are read over
 * netlink and compared with how they were when they were right; a process runs only when they differ.
 */
export class NodeFirewall {
  readonly #world: NodeFirewallWorld;
  readonly #writer: NodeFirewallWriter;
  #rules: Readonly<Record<Family, NodeRules>> = nothing;
  /** The rules as they should be, undefined when that is not known. */
  #fingerprint: string | undefined;
  #cleaned = false;
  #problem: string | undefined;
  #subscription: Subscription | undefined;
  #cancel: (() => void) | undefined;
  #wait = backOff.first;
  #closed = false;
  #working: Promise<void> = Promise.resolve();

  constructor(writer: NodeFirewallWriter, world: NodeFirewallWorld) {
    this.#writer = writer;
    this.#world = world;
  }

  /** Why the rules are not in place; undefined when they are. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Resolves after the first try, whatever comes of it: what fails is tried again, and named by {@link problem}. */
  async keep(input: NodeRulesInput): Promise<void> {
    if (this.#closed) return;
    const rules = { 4: nodeRules(input, 4), 6: nodeRules(input, 6) };
    if (JSON.stringify(rules) !== JSON.stringify(this.#rules)) this.#fingerprint = undefined;
    this.#rules = rules;
    this.#subscription ??= this.#world.subscribe(
      () => this.#later(settleTime),
      () => this.#later(settleTime),
    );
    await this.#try();
  }

  /** Ends it; the rules stay. */
  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#subscription?.close();
    this.#world.session.close();
  }

  /** Makes the rules so, if they are not. Rejects with an Error that says what to do. */
  ensure(): Promise<void> {
    const next = this.#working.then(() => this.#ensure());
    this.#working = next.catch(() => {});
    return next;
  }

  async #ensure(): Promise<void> {
    if (!this.#cleaned) {
      await this.#removeOther();
      this.#cleaned = true;
    }
    if (this.#fingerprint !== undefined && this.#fingerprint === this.#look()) return;
    if (this.#writer === 'iptables') this.#fingerprint = await this.#writeIptables(this.#rules);
    else this.#fingerprint = await this.#writeNftables();
  }

  #later(milliseconds: number): void {
    this.#cancel?.();
    this.#cancel = this.#world.clock.after(milliseconds, () => void this.#try());
  }

  async #try(): Promise<void> {
    const { log } = this.#world;
    try {
      await this.ensure();
      if (this.#problem !== undefined) log.info({}, 'the firewall rules are in place again');
      this.#problem = undefined;
      this.#wait = backOff.first;
    } catch (error) {
      if (this.#closed) return;
      const problem = error instanceof Error ? error.message : String(error);
      if (problem !== this.#problem) log.error({ wait: this.#wait }, problem);
      this.#problem = problem;
      this.#later(this.#wait);
      this.#wait = Math.min(2 * this.#wait, backOff.longest);
    }
  }

  #look(writer = this.#writer): string {
    return nodeFingerprint((request) => this.#world.session.dump(request), writer);
  }

  /** What the other writer left behind would be in force beside ours. */
  async #removeOther(): Promise<void> {
    const other = this.#writer === 'iptables' ? 'nftables' : 'iptables';
    if (this.#look(other) === '') return;
    if (other === 'iptables') await this.#writeIptables(nothing);
    else await this.#must('nft', ['-f', '-'], nftablesNodeRules(nothing));
  }

  /** The fingerprint is of before the look that finds them right: a change after it is seen next time. */
  async #writeIptables(rules: Readonly<Record<Family, NodeRules>>): Promise<string> {
    for (let attempt = 0; attempt <= attempts; attempt++) {
      const fingerprint = this.#look();
      let written = false;
      for (const family of families) {
        const program = family === 4 ? 'iptables' : 'ip6tables';
        const saved = await this.#must(`${program}-save`, []);
        const text = iptablesNodeRules(rules[family], saved);
        if (text === undefined) continue;
        const args = ['--noflush', '--wait', String(lockSeconds)];
        await this.#must(`${program}-restore`, args, text);
        written = true;
      }
      if (!written) return fingerprint;
    }
    throw new Error(contested);
  }

  /** One transaction is one generation: when more have passed, somebody else wrote too. */
  async #writeNftables(): Promise<string> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const before = this.#generation();
      await this.#must('nft', ['-f', '-'], nftablesNodeRules(this.#rules));
      const fingerprint = this.#look();
      if (this.#generation() === (before + 1) >>> 0) return fingerprint;
    }
    throw new Error(contested);
  }

  #generation(): number {
    return this.#world.session.request(getNftGeneration())[0]?.NFTA_GEN_ID ?? 0;
  }

  async #must(program: string, args: readonly string[], stdin?: string): Promise<string> {
    const outcome = await this.#world.run(program, args, stdin);
    if (outcome.code !== 0)
      throw new Error(`the firewall rules are not in place: ${reason(program, outcome)}`);
    return outcome.stdout;
  }
}

const contested =
  'the firewall rules are not in place: another program changes them all the time; see `nft monitor`';

function reason(program: string, { code, stderr }: Outcome): string {
  if (code === -1 && stderr.includes('ENOENT')) {
    return `there is no program ${program}; install it, or choose the other with EnableNFTables in net-conf.json`;
  }
  return `${program}: ${stderr.trim() || `exit status ${code}`}`;
}
