import { closeSync, openSync, readSync } from 'node:fs';
import type { Family } from '../../net/address.ts';

const files: Readonly<Record<Family, string>> = {
  4: '/proc/sys/net/ipv4/ip_forward',
  6: '/proc/sys/net/ipv6/conf/all/forwarding',
};

/**
 * Whether this node forwards. The files stay open: the kernel finds one by its name the slower the more pods there are, since
 * each pod's namespace has one of that name.
 */
export class Forwarding {
  readonly #open = new Map<Family, number>();
  readonly #buffer = new Uint8Array(1);

  /** Undefined for a family that this kernel does not have. */
  now(): Readonly<Record<Family, boolean | undefined>> {
    return { 4: this.#isOn(4), 6: this.#isOn(6) };
  }

  close(): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
  }

  #isOn(family: Family): boolean | undefined {
    try {
      const fd = this.#open.get(family) ?? openSync(files[family], 'r');
      this.#open.set(family, fd);
      return readSync(fd, this.#buffer, 0, 1, 0) === 1 && this.#buffer[0] === '1'.charCodeAt(0);
    } catch {
      return undefined;
    }
  }
}
