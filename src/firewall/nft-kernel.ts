import { isNetlinkError } from '../netlink/error.ts';
import type { Request } from '../netlink/message.ts';
import {
  getNftChain,
  getNftGeneration,
  getNftRules,
  getNftTable,
  type NftChainMessage,
  type NftRuleMessage,
  type NftTableMessage,
  nftTransaction,
} from '../netlink/netfilter/nftables.ts';
import type { SyncSession } from '../netlink/session.ts';

/** What the kernel's nf_tables has, by name; a kernel without nf_tables has nothing. Throws a NetlinkError. */
export class NftKernel {
  readonly #session: SyncSession | undefined;

  /** A NETLINK_NETFILTER session; undefined: this kernel has no such thing. */
  constructor(session: SyncSession | undefined) {
    this.#session = session;
  }

  table(family: number, table: string): NftTableMessage | undefined {
    return this.#one(getNftTable(family, table));
  }

  chain(family: number, table: string, chain: string): NftChainMessage | undefined {
    return this.#one(getNftChain(family, table, chain));
  }

  /** In their order. */
  rules(family: number, table: string, chain: string): readonly NftRuleMessage[] {
    return absent(() => this.#session?.dump(getNftRules(family, table, chain))) ?? [];
  }

  /** The number that grows with every transaction of anybody's. */
  generation(): number {
    return this.#session?.request(getNftGeneration())[0]?.NFTA_GEN_ID ?? 0;
  }

  /** All of `changes` or none of them. */
  change(changes: readonly Request[]): void {
    if (changes.length === 0) return;
    if (this.#session === undefined) throw new Error('this kernel has no nf_tables');
    this.#session.allOrNothing(nftTransaction(changes));
  }

  close(): void {
    this.#session?.close();
  }

  #one<T>(request: Request<T>): T | undefined {
    return absent(() => this.#session?.request(request)[0]);
  }
}

/** EINVAL: nfnetlink knows no nf_tables. EOPNOTSUPP, EAFNOSUPPORT: not of this family. */
function absent<T>(ask: () => T | undefined): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (isNetlinkError(error, 'ENOENT', 'EINVAL', 'EOPNOTSUPP', 'EAFNOSUPPORT')) return undefined;
    throw error;
  }
}
