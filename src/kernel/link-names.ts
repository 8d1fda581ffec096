/** A link that an object names is not there. */
export class NoSuchLink extends Error {
  override readonly name = 'NoSuchLink';
  readonly link: string;

  constructor(link: string) {
    super(`there is no link ${link}`);
    this.link = link;
  }
}

/** Which index a link has now, by name and the other way round. Of all links: routes and vxlan devices name any. */
export class LinkNames {
  readonly #names = new Map<number, string>();
  readonly #indexes = new Map<string, number>();

  set(index: number, name: string): void {
    const before = this.#names.get(index);
    if (before === name) return;
    if (before !== undefined) this.#forget(before, index);
    this.#names.set(index, name);
    this.#indexes.set(name, index);
  }

  delete(index: number): void {
    const name = this.#names.get(index);
    this.#names.delete(index);
    if (name !== undefined) this.#forget(name, index);
  }

  nameOf(index: number): string | undefined {
    return this.#names.get(index);
  }

  indexOf(name: string): number | undefined {
    return this.#indexes.get(name);
  }

  /** Throws {@link NoSuchLink}. */
  need(name: string): number {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new NoSuchLink(name);
    return index;
  }

  /** A name may be another link's by now: they swap names in two steps. */
  #forget(name: string, index: number): void {
    if (this.#indexes.get(name) === index) this.#indexes.delete(name);
  }
}
