import type { Clock } from '../world/clock.ts';
import type { Random } from '../world/random.ts';
import type { Entry, LeaseSink } from './registry.ts';
import { RestoreBackOff } from './restore-back-off.ts';

interface OwnDocumentOptions {
  /** This node's name. */
  readonly node: string;
  /** Whether the document is a lease, and not what this node has written. */
  isOverwritten(): boolean;
  readonly sink: LeaseSink;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Tells a sink what the watch tells, and sees whether somebody has overwritten this node's own document. One that says something else
 * counts as unreadable after a while, so that the node writes it again: not at once, for another node of the same name does so too.
 */
export class OwnDocument implements LeaseSink {
  readonly #options: OwnDocumentOptions;
  readonly #sink: LeaseSink;
  readonly #backOff: RestoreBackOff;
  #cancel: (() => void) | undefined;

  constructor(options: OwnDocumentOptions) {
    this.#options = options;
    this.#sink = options.sink;
    this.#backOff = new RestoreBackOff(options);
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
    this.#cancel?.();
  }

  #see(): void {
    const { clock, node, isOverwritten } = this.#options;
    if (this.#cancel !== undefined || !isOverwritten()) return;
    this.#cancel = clock.after(this.#backOff.next(), () => {
      this.#cancel = undefined;
      if (!isOverwritten()) return;
      const unreadable = 'somebody has overwritten it; has another node the same name (--node-name)?';
      this.#sink.changed(node, { unreadable });
    });
  }
}
