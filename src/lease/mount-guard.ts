/**
 * Keeps the place where a file system is not mounted from passing for a cluster without nodes: there is nothing there, or what this
 * node itself left before. Which file system it is says nothing alone: its number may be another at each mount.
 */
export class MountGuard {
  readonly #own: string;
  readonly #knowsPeers: () => boolean;
  /** Where the documents were last. */
  #device: number | undefined;
  #told: ReadonlyMap<string, unknown> = new Map();

  /** `own` is the name of this node's document; `knowsPeers` is whether there were peers before it was started. */
  constructor(own: string, knowsPeers: () => boolean) {
    this.#own = own;
    this.#knowsPeers = knowsPeers;
  }

  /** The documents on this file system are the cluster's: `told` has their names, now and later. */
  trust(device: number, told: ReadonlyMap<string, unknown>): void {
    this.#device = device;
    this.#told = told;
  }

  /** Throws an Error when documents with these names, on this file system, cannot be all there is. */
  check(device: number, names: readonly string[]): void {
    if (device === this.#device || !this.#isBare(names)) return;
    const before =
      this.#device === undefined
        ? 'it is empty, and this node knows of peers'
        : 'it has no lease of another node, and is on another file system than before';
    throw new Error(
      `${before}: is it mounted? If it is, and all nodes are to begin anew, ` +
        'remove state.json (--state-dir) on one of them and restart its flanneld',
    );
  }

  #isBare(names: readonly string[]): boolean {
    // Where this node's document is alone, the others may have left while it was down.
    if (this.#device === undefined) return names.length === 0 && this.#knowsPeers();
    const told = [...this.#told.keys()];
    return this.#hasOthers(told) ? !this.#hasOthers(names) : told.length > names.length;
  }

  #hasOthers(names: readonly string[]): boolean {
    return names.some((name) => name !== this.#own);
  }
}
