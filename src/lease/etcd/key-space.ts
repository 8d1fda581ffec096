import type { Entry } from '../registry.ts';
import { parseLeaseValue } from './lease-value.ts';
import type { KeyValue } from './messages.ts';
import { parseSubnetKey, type Subnets } from './subnet-key.ts';

/** Keys from `key` up to `rangeEnd`, which is not among them; of `key` alone without it. */
export interface KeyRange {
  readonly key: string;
  readonly rangeEnd?: string;
}

/** A lease as it stands in etcd. */
export interface StoredLease {
  readonly id: string;
  readonly subnets: Subnets;
  readonly entry: Entry;
  readonly stored: KeyValue;
}

/** An identifier of what somebody else called so may be as long as this. */
const longestId = 100;

/** Where flannel's things are, below the prefix (`--etcd-prefix`). Keys are strings of bytes: one character, one byte. */
export class KeySpace {
  readonly prefix: string;
  /** The network configuration. */
  readonly config: KeyRange;
  readonly leases: Required<KeyRange>;
  /** What was read once need not be read again. */
  readonly #read = new WeakMap<KeyValue, StoredLease>();

  constructor(prefix: string) {
    this.prefix = `/${prefix.replace(/^\/+|\/+$/g, '')}`.replace(/^\/$/, '');
    const bytes = Buffer.from(this.prefix).toString('latin1');
    this.config = { key: `${bytes}/config` };
    // The character behind the slash ends the range of all that begin with it.
    this.leases = { key: `${bytes}/subnets/`, rangeEnd: `${bytes}/subnets0` };
  }

  keyOf(id: string): string {
    return this.leases.key + id;
  }

  /** The inverse of {@link keyOf}, made fit to be printed where it is no subnet's. */
  idOf(key: string): string {
    const name = key.slice(this.leases.key.length);
    return typeof parseSubnetKey(name) === 'string' ? printable(name) : name;
  }

  leaseOf(stored: KeyValue): StoredLease {
    const known = this.#read.get(stored);
    if (known !== undefined) return known;
    const lease = this.#leaseOf(stored);
    this.#read.set(stored, lease);
    return lease;
  }

  #leaseOf(stored: KeyValue): StoredLease {
    const id = this.idOf(stored.key);
    const subnets = parseSubnetKey(id);
    if (typeof subnets === 'string') return { id, subnets: {}, entry: { unreadable: subnets }, stored };
    return { id, subnets, entry: parseLeaseValue(id, subnets, stored.value), stored };
  }
}

const printable = (name: string): string =>
  JSON.stringify(name.length > longestId ? `${name.slice(0, longestId)}...` : name).replace(
    /[\u007f-\u00ff]/g,
    '?',
  );
