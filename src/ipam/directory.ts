import path from 'node:path';
import { type Address, parseAddress } from '../net/address.ts';
import type { Clock } from '../world/clock.ts';
import { decodeOwner, encodeOwner, type Owner } from './entry.ts';
import { errnoOf, storeError } from './error.ts';
import type { Files } from './files.ts';

interface Version {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/**
 * A network's directory in host-local's format: a file for each reserved address, named after it, and
 * `last_reserved_ip.<n>` for each range set. Everything here is done under the lock.
 */
export class Directory {
  readonly path: string;
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #buffer = Buffer.alloc(4096);
  /** As we left it; undefined when we cannot tell our own writing from another's. */
  #sealed: Version | undefined;
  /** The latest time of change that was seen: that of another process's seal, before we wrote. */
  #latest = 0n;

  constructor(directory: string, world: { files: Files; clock: Clock }) {
    this.path = directory;
    this.#files = world.files;
    this.#clock = world.clock;
  }

  /** Whether nobody else has made or removed a file since {@link seal}. */
  isAsSealed(): boolean {
    const now = this.#version();
    const then = this.#sealed;
    if (now.mtimeNs > this.#latest) this.#latest = now.mtimeNs;
    return (
      then !== undefined &&
      now.mtimeNs === then.mtimeNs &&
      now.ctimeNs === then.ctimeNs &&
      now.ino === then.ino &&
      now.dev === then.dev
    );
  }

  /**
   * Remembers the directory as it is now. Its time of change is set to a moment that no other writer
   * leaves: the kernel stamps with the tick of a coarse clock (4 ms before Linux 6.13), so that another's
   * write right after ours would not show; and each seal is later than the one before it, also than another
   * process's, which {@link isAsSealed} saw before we wrote. A file system that does not keep the moment is read
   * anew every time.
   */
  seal(): void {
    this.unseal();
    try {
      const { mtimeNs } = this.#version();
      const latest = mtimeNs > this.#latest ? mtimeNs : this.#latest;
      const stamp = Math.max((this.#clock.now() + 0.5) / 1e3, (Number(latest) + 1000) / 1e9);
      this.#files.utimesSync(this.path, stamp, stamp);
      const sealed = this.#version();
      if (Math.abs(Number(sealed.mtimeNs) - stamp * 1e9) < 2000) this.#sealed = sealed;
    } catch {
      // Not allowed here, or gone: what cannot be sealed is read anew.
    }
  }

  unseal(): void {
    this.#sealed = undefined;
  }

  /**
   * Every address that has a file, and who holds it. A file that names nobody is what a crash left
   * behind, for under the lock none is half written: it is removed. Where that fails, and for what cannot be
   * read, the address stays taken, without an owner.
   */
  read(): [Address, Owner | undefined][] {
    const reserved: [Address, Owner | undefined][] = [];
    for (const name of this.#names()) {
      const address = parseAddress(name);
      if (address !== name) continue;
      const content = this.#content(address);
      const owner = content === undefined ? undefined : decodeOwner(content);
      if (owner !== undefined || content === undefined || !this.#discard(address)) {
        reserved.push([address, owner]);
      }
    }
    return reserved;
  }

  /** Makes the address's file. False when the name is taken. */
  create(address: Address, owner: Owner): boolean {
    const file = this.#file(address);
    let fd: number;
    try {
      fd = this.#files.openSync(file, 'wx', 0o600);
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      throw storeError(`cannot reserve ${address} in ${this.path}`, error);
    }
    try {
      this.#write(fd, encodeOwner(owner));
    } catch (error) {
      this.#discard(address);
      throw storeError(`cannot reserve ${address} in ${this.path}`, error);
    }
    return true;
  }

  /** Removes the address's file; that there is none is fine. */
  remove(address: Address): void {
    try {
      this.#files.unlinkSync(this.#file(address));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw storeError(`cannot release ${address} in ${this.path}`, error);
    }
  }

  /** When the address's file was written, in milliseconds since the epoch; undefined when it is gone. */
  modified(address: Address): number | undefined {
    return this.#files.statSync(this.#file(address), { throwIfNoEntry: false })?.mtimeMs;
  }

  /** Undefined when none was written yet, or nothing that can be understood: then one begins at the start. */
  lastReserved(set: number): Address | undefined {
    try {
      return parseAddress(this.#files.readFileSync(this.#lastReservedFile(set), 'utf8'));
    } catch {
      return undefined;
    }
  }

  /**
   * Written in place. Emptying the file first would be simpler, but ext4 then writes it to the disc as soon as
   * it is closed, which takes longer than all the rest of handing out an address.
   */
  setLastReserved(set: number, address: Address): void {
    const file = this.#lastReservedFile(set);
    try {
      const { O_CREAT, O_WRONLY } = this.#files.constants;
      const fd = this.#files.openSync(file, O_CREAT | O_WRONLY, 0o600);
      try {
        this.#files.writeSync(fd, address);
        if (this.#files.fstatSync(fd).size > address.length) this.#files.ftruncateSync(fd, address.length);
      } finally {
        this.#files.closeSync(fd);
      }
    } catch (error) {
      throw storeError(`cannot write ${file}`, error);
    }
  }

  #file(name: string): string {
    return path.join(this.path, name);
  }

  #lastReservedFile(set: number): string {
    return this.#file(`last_reserved_ip.${set}`);
  }

  #version(): Version {
    try {
      return this.#files.statSync(this.path, { bigint: true });
    } catch (error) {
      throw storeError(`cannot read ${this.path}`, error);
    }
  }

  #names(): string[] {
    try {
      return this.#files.readdirSync(this.path);
    } catch (error) {
      throw storeError(`cannot read ${this.path}`, error);
    }
  }

  /** Undefined for what is no readable file. Throws when this process, rather than the file, is to blame. */
  #content(address: Address): string | undefined {
    try {
      const fd = this.#files.openSync(this.#file(address), 'r');
      try {
        return this.#buffer.toString('utf8', 0, this.#files.readSync(fd, this.#buffer));
      } finally {
        this.#files.closeSync(fd);
      }
    } catch (error) {
      const blame = ['EMFILE', 'ENFILE', 'ENOMEM'].includes(errnoOf(error) ?? '');
      if (blame) throw storeError(`cannot read ${this.#file(address)}`, error);
      return undefined;
    }
  }

  #write(fd: number, text: string): void {
    const bytes = Buffer.from(text);
    try {
      const written = this.#files.writeSync(fd, bytes);
      if (written !== bytes.length) throw new Error(`only ${written} of ${bytes.length} bytes were written`);
    } finally {
      this.#files.closeSync(fd);
    }
  }

  #discard(address: Address): boolean {
    try {
      this.#files.unlinkSync(this.#file(address));
      return true;
    } catch {
      return false;
    }
  }
}
