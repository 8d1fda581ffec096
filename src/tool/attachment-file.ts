import fs, { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { JsonObject } from '../json/go-json.ts';
import { makeDirectory } from '../world/make-directory.ts';
import { Refusal } from './refusal.ts';

/** What `cni-tool add` remembers, so that check and del need no arguments. */
export interface Attachment {
  readonly containerId: string;
  readonly ifname: string;
  readonly netns: string;
  /** The namespace was made by `cni-tool add` and goes with `cni-tool del`. */
  readonly scratch: boolean;
  readonly conflist: string;
  readonly cniPath: string;
  readonly args: string;
  readonly capabilityArgs: JsonObject;
  readonly result?: unknown;
}

/** Attachments that were added by hand, one file each, gone with a reboot as their namespaces are. */
export class AttachmentFiles {
  readonly #directory: string;

  constructor(directory = '/run/cni-tool') {
    this.#directory = directory;
  }

  write(attachment: Attachment): void {
    makeDirectory(fs, this.#directory, 0o700);
    writeFileSync(this.#file(attachment), `${JSON.stringify(attachment, null, 2)}\n`, { mode: 0o600 });
  }

  remove(attachment: Attachment): void {
    rmSync(this.#file(attachment), { force: true });
  }

  has(attachment: Pick<Attachment, 'containerId' | 'ifname'>): boolean {
    return existsSync(this.#file(attachment));
  }

  /** Oldest first. */
  all(): Attachment[] {
    const files = readdirSync(this.#directory, { withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.json'))
      .map((entry) => path.join(this.#directory, entry.name));
    return files
      .map((file) => ({ file, written: statSync(file).mtimeMs }))
      .toSorted((a, b) => a.written - b.written)
      .map(({ file }) => read(file));
  }

  /** The one with this container ID (a part from its beginning will do), or the newest. Throws a {@link Refusal}. */
  find(containerId?: string): Attachment {
    const all = this.#exists() ? this.all() : [];
    if (containerId === undefined) {
      const newest = all.at(-1);
      if (newest !== undefined) return newest;
      throw new Refusal(
        'nothing was added by hand: "cni-tool add --conflist FILE" first, or say --container-id and --netns',
      );
    }
    const matching = all.filter((attachment) => attachment.containerId.startsWith(containerId));
    const [only] = matching;
    if (only !== undefined && matching.length === 1) return only;
    const known = all.map((attachment) => attachment.containerId).join(', ') || 'none';
    throw new Refusal(`${matching.length} attachments begin with "${containerId}"; added by hand: ${known}`);
  }

  #exists(): boolean {
    return statSync(this.#directory, { throwIfNoEntry: false })?.isDirectory() === true;
  }

  #file({ containerId, ifname }: Pick<Attachment, 'containerId' | 'ifname'>): string {
    return path.join(this.#directory, `${containerId}-${ifname}.json`);
  }
}

function read(file: string): Attachment {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Attachment;
  } catch (error) {
    throw new Refusal(`${file} cannot be used, remove it: ${(error as Error).message}`, { cause: error });
  }
}
