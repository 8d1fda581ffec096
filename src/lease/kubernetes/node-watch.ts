import { BackOff } from '../../http/back-off.ts';
import { HttpError } from '../../http/error.ts';
import { type Clock, sleep } from '../../world/clock.ts';
import type { Random } from '../../world/random.ts';
import { type Entry, type LeaseSink, RegistryError } from '../registry.ts';
import { ApiError, type KubernetesApi, type NodeEvent } from './api.ts';
import type { NodeObject } from './node-object.ts';

export interface NodeWatchOptions {
  readonly api: Pick<KubernetesApi, 'list' | 'watch'>;
  /** A Node's lease, undefined where flannel has nothing to do with it. */
  leaseOf(node: NodeObject): Entry | undefined;
  /** Each Node that comes by, whatever of it has changed. */
  readonly onNode: (node: NodeObject) => void;
  readonly sink: LeaseSink;
  readonly clock: Clock;
  readonly random: Random;
}

/** Milliseconds: the first wait, and the longest. A thousand nodes wait for a random part of it. */
const backOff = { first: 200, longest: 30_000 };
/** A watch that held so long was a good one: what ends it is no reason to wait, in milliseconds. */
const goodWatch = 5_000;
/** How long the server may keep a watch, in seconds: a random time, so that not all come back at once. */
const shortestWatch = 300;

/**
 * Follows the Nodes: a list, and then what changes from there on. An end of the connection is no gap, as the next watch goes on
 * where the last one was; when the server no longer knows that place (410), all is listed again.
 */
export class NodeWatch {
  readonly #options: NodeWatchOptions;
  readonly #stop = new AbortController();
  readonly #backOff: BackOff;
  /** What was told. */
  readonly #told = new Map<string, Entry>();
  /** From where a watch goes on; undefined: all must be listed. */
  #place: string | undefined;
  #staleSince: number | undefined;
  /** Monotonic milliseconds: when the server began to answer the watch that runs, or ran last. */
  #watching: number | undefined;

  constructor(options: NodeWatchOptions) {
    this.#options = options;
    this.#backOff = new BackOff(backOff, options.random);
  }

  start(): void {
    void this.#run();
  }

  close(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const error = await this.#follow().then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (signal.aborted) return;
      const wasGood = this.#watching !== undefined && clock.monotonic() - this.#watching >= goodWatch;
      if (wasGood) this.#backOff.reset();
      if (error !== undefined) this.#failed(error);
      else if (wasGood) continue;
      await sleep(clock, this.#backOff.next(), signal);
    }
  }

  /** One list, if it is needed, and one watch. */
  async #follow(): Promise<void> {
    const { api, random, clock } = this.#options;
    const { signal } = this.#stop;
    this.#watching = undefined;
    this.#place ??= await this.#list();
    if (signal.aborted) return;
    const [byte = 0] = random(1);
    const seconds = shortestWatch + byte;
    const onBegin = (): void => {
      this.#watching = clock.monotonic();
      this.#answers();
    };
    await api.watch({ resourceVersion: this.#place, seconds }, (event) => this.#event(event), {
      signal,
      onBegin,
    });
  }

  async #list(): Promise<string> {
    const { api, leaseOf, onNode, sink } = this.#options;
    const entries = new Map<string, Entry>();
    const place = await api.list((node) => {
      const entry = leaseOf(node);
      if (entry === undefined) entries.delete(node.name);
      else entries.set(node.name, entry);
      onNode(node);
    }, this.#stop.signal);
    if (this.#stop.signal.aborted) return place;
    this.#told.clear();
    for (const [id, entry] of entries) this.#told.set(id, entry);
    this.#answers();
    sink.all(entries);
    return place;
  }

  #event(event: NodeEvent): void {
    if (this.#stop.signal.aborted) return;
    if (event.type === 'BOOKMARK') {
      if (event.resourceVersion !== '') this.#place = event.resourceVersion;
      return;
    }
    const { node, type } = event;
    const isThere = type !== 'DELETED';
    if (node.resourceVersion !== '') this.#place = node.resourceVersion;
    this.#tell(node.name, isThere ? this.#options.leaseOf(node) : undefined);
    if (isThere) this.#options.onNode(node);
  }

  /** Most changes of a Node are kubelet's and none of ours. */
  #tell(id: string, entry: Entry | undefined): void {
    const { sink } = this.#options;
    const before = this.#told.get(id);
    if (entry === undefined) {
      if (this.#told.delete(id)) sink.gone(id);
    } else if (before === undefined || JSON.stringify(before) !== JSON.stringify(entry)) {
      this.#told.set(id, entry);
      sink.changed(id, entry);
    }
  }

  #answers(): void {
    if (this.#staleSince !== undefined && !this.#stop.signal.aborted) this.#options.sink.stale(undefined);
    this.#staleSince = undefined;
  }

  #failed(error: unknown): void {
    const place = this.#place;
    if (!keepsPlace(error)) this.#place = undefined;
    // The server forgets old places; that alone is no reason to call it away.
    if (place !== undefined && error instanceof ApiError && error.status === 410) return;
    this.#staleSince ??= this.#options.clock.now();
    this.#options.sink.stale(this.#staleSince, error instanceof Error ? error.message : String(error));
  }
}

/** A watch can go on where the last one was when it was the connection that failed, or a right, or the server as a whole. */
function keepsPlace(error: unknown): boolean {
  if (error instanceof ApiError) return error.status >= 500 || [401, 403, 429].includes(error.status);
  return error instanceof RegistryError && error.cause instanceof HttpError;
}
