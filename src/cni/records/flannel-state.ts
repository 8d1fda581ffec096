import path from 'node:path';
import type { Files } from './files.ts';

/**
 * The state files of Go's flannel plugin, `<dataDir>/<containerID>`: the delegate's configuration as JSON.
 * Either plugin can DEL what the other has added. One file serves all interfaces of a container.
 */
export class FlannelState {
  readonly #files: Files;
  readonly #dataDir: string;

  constructor(files: Files, dataDir: string) {
    this.#files = files;
    this.#dataDir = dataDir;
  }

  /** Undefined when there is none. */
  read(containerID: string): string | undefined {
    return this.#files.read(path.join(this.#dataDir, containerID));
  }

  has(containerID: string): boolean {
    return this.#files.has(path.join(this.#dataDir, containerID));
  }

  /** Throws what the files throw. */
  write(containerID: string, delegate: string): void {
    this.#files.write(path.join(this.#dataDir, containerID), delegate);
  }

  remove(containerID: string): void {
    this.#files.remove(path.join(this.#dataDir, containerID));
  }

  /** Every container that has one. */
  containers(): string[] {
    return this.#files.list(this.#dataDir).filter((name) => !name.startsWith('.'));
  }
}
