import { BackOff } from '../../http/back-off.ts';
import { asObject, parseJson } from '../../json/go-json.ts';
import type { KeyRange, KeySpace } from '../../lease/etcd/key-space.ts';
import { KeyWatch } from '../../lease/etcd/key-watch.ts';
import type { EtcdStore } from '../../lease/etcd/store.ts';
import { type Clock, sleep } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Random } from '../../world/random.ts';
import { sentences } from '../../world/sentences.ts';
import { ConfigInUse } from './config-in-use.ts';
import type { EffectiveNetwork } from './effective-network.ts';

export interface StoredConfigOptions {
  readonly store: EtcdStore;
  readonly keys: KeySpace;
  /** Nobody named etcd: it is the registry because no other was named. */
  readonly isDefault: boolean;
  /** What the configuration means for this node. Throws an Error that says why it cannot be used. */
  parse(file: { readonly name: string; readonly text: string }): EffectiveNetwork;
  /** The copy of last time, for a start without etcd: its text; undefined when there is none. */
  readCopy(): string | undefined;
  writeCopy(text: string): void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Milliseconds. */
const retryLimits = { first: 500, longest: 5_000 };

/** The network configuration that etcd has, at `<prefix>/config`. */
export class StoredConfig {
  readonly #options: StoredConfigOptions;
  readonly #key: string;
  /** What this process started with. */
  #inUse: ConfigInUse | undefined;
  #watch: KeyWatch | undefined;

  constructor(options: StoredConfigOptions) {
    this.#options = options;
    this.#key = `${options.keys.prefix}/config`;
  }

  /**
   * Waits for it, as Go flannel does: until etcd answers and has one that makes sense. When etcd does not answer, the copy of
   * last time serves. Undefined when `signal` aborts before.
   */
  async read(signal: AbortSignal): Promise<EffectiveNetwork | undefined> {
    const { clock, log, random, isDefault } = this.#options;
    const backOff = new BackOff(retryLimits, random);
    const hints = isDefault ? ['If the leases are not in etcd: --kube-subnet-mgr or --lease-dir'] : [];
    for (let told = ''; !signal.aborted; ) {
      try {
        return this.#use(await this.#fetch());
      } catch (error) {
        const { message } = error as Error;
        const copy = error instanceof NoConfig ? undefined : this.#copy(message);
        if (copy !== undefined) return this.#use(copy, 'copy');
        const text = `waiting for the network configuration: ${message}`;
        if (message !== told) log.warn({}, sentences(text, ...hints));
        told = message;
      }
      await sleep(clock, backOff.next(), signal);
    }
    return undefined;
  }

  /** Looks on what becomes of it. A change is told; it comes into use with the next start, as by Go flannel. */
  follow(): void {
    const { store, keys, clock, random } = this.#options;
    const range: KeyRange = keys.config;
    this.#watch = new KeyWatch({
      store,
      range,
      clock,
      random,
      sink: {
        all: ([stored]) => this.#compare(stored?.value),
        put: ({ value }) => this.#compare(value),
        deleted: () => this.#compare(undefined),
        // The watch of the leases says so already.
        stale() {},
      },
    });
    this.#watch.start();
  }

  /** In what etcd's configuration is another than the one in use; undefined: in nothing. */
  get difference(): string | undefined {
    return this.#inUse?.difference;
  }

  close(): void {
    this.#watch?.close();
  }

  async #fetch(): Promise<string> {
    const { store, keys } = this.#options;
    const { kvs } = await store.list(keys.config);
    const [stored] = kvs;
    if (stored === undefined) {
      throw new NoConfig(
        `etcd has none at ${this.#key}; for example: ` +
          `etcdctl put ${this.#key} '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}'`,
      );
    }
    return Buffer.from(stored.value).toString('utf8');
  }

  #use(text: string, from: 'etcd' | 'copy' = 'etcd'): EffectiveNetwork {
    let network: EffectiveNetwork;
    try {
      network = this.#parse(text);
    } catch (error) {
      throw new NoConfig((error as Error).message, { cause: error });
    }
    const { log } = this.#options;
    const parse = (other: string): EffectiveNetwork => this.#parse(other);
    this.#inUse = new ConfigInUse({ place: `${this.#key} in etcd`, text, parse, log });
    if (from === 'etcd') this.#save(text);
    return network;
  }

  #parse(text: string): EffectiveNetwork {
    return this.#options.parse({ name: this.#key, text });
  }

  #compare(value: Uint8Array | undefined): void {
    const text = value === undefined ? undefined : Buffer.from(value).toString('utf8');
    if (this.#inUse?.compare(text) === true && text !== undefined) this.#save(text);
  }

  /** Of this prefix; one that makes no sense (any more) is none. */
  #copy(why: string): string | undefined {
    const { readCopy, log, keys } = this.#options;
    const text = readCopy();
    if (text === undefined) return undefined;
    try {
      const { prefix, config } = asObject(parseJson(text, 'the copy'), 'the copy');
      if (prefix !== keys.prefix || typeof config !== 'string') return undefined;
      this.#parse(config);
      log.warn({}, `starting with the network configuration last known, without etcd: ${why}`);
      return config;
    } catch (error) {
      const reason = (error as Error).message;
      log.warn({}, `the copy of the network configuration is of no use and is left out: ${reason}`);
      return undefined;
    }
  }

  #save(config: string): void {
    const { writeCopy, keys, log } = this.#options;
    try {
      writeCopy(JSON.stringify({ prefix: keys.prefix, config }));
    } catch (error) {
      log.warn({}, `cannot save a copy of the network configuration: ${(error as Error).message}`);
    }
  }
}

/** etcd answers, and has no configuration that could be used. */
class NoConfig extends Error {}
