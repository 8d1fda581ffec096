import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { Entry, LeaseSink } from './registry.ts';
import { RestoreBackOff } from './restore-back-off.ts';

interface OwnDocumentOptions {
  readonly directory: string;
  /** This node's name. */
  readonly node: string;
  /** Whether the document is there, and is not what this node has written. */
  isSpoilt(): boolean;
  /** Writes it again. Rejects when that cannot be done now. */
  restore(): Promise<unknown>;
  readonly sink: LeaseSink;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * What could not be written is tried again so many milliseconds later, and no restoring waits longer: a document that names no subnet
 * must name it again while others still take it for somebody's (doubt.ts).
 */
const retryInterval = 15_000;

/**
 * Tells a sink what the watch tells, and restores this node's own document when somebody has emptied or overwritten it: not at once,
 * for another node of the same name does so too.
 */
export class OwnDocument implements LeaseSink {
  readonly #options: OwnDocumentOptions;
  readonly #sink: LeaseSink;
  readonly #backOff: RestoreBackOff;
  /** While the document is about to be restored. */
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(options: OwnDocumentOptions) {
    this.#options = options;
    this.#sink = options.sink;
    this.#backOff = new RestoreBackOff(options, retryInterval);
  }

  all(entries: ReadonlyMap<string, Entry>): void {
    this.#sink.all(entries);
    if (entries.has(this.#options.node)) this.#see();
  }

  changed(id: string, entry: Entry): void {
    this.#sink.changed(id, entry);
    if (id === this.#options.node) this.#see();
  }

  gone(id: string): void {
    this.#sink.gone(id);
  }

  stale(since: number | undefined, why?: string): void {
    this.#sink.stale(since, why);
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  #see(): void {
    if (this.#cancel === undefined && this.#options.isSpoilt()) this.#restoreAfter(this.#backOff.next());
  }

  #restoreAfter(wait: number): void {
    if (!this.#closed) this.#cancel = this.#options.clock.after(wait, () => void this.#restore());
  }

  async #restore(): Promise<void> {
    const { directory, node, isSpoilt, restore, log } = this.#options;
    const what = `somebody has emptied or overwritten the lease of this node, ${directory}/${node}.json`;
    try {
      if (isSpoilt()) {
        await restore();
        log.warn({}, `${what}; it is written again. Has another node the same name (--node-name)?`);
      }
      this.#cancel = undefined;
      this.#see();
    } catch (error) {
      const { message } = error as Error;
      log.warn({ wait: retryInterval }, `${what}, and it could not be written again: ${message}`);
      this.#restoreAfter(retryInterval);
    }
  }
}
