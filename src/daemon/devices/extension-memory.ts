import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import type { GivenPeers } from '../../backend/extension.ts';
import { writeWhole } from '../files/file.ts';

/** Which peers were added, from one start of flanneld to the next. */
export interface ExtensionMemory {
  /** Nobody after a reboot: what the commands made is gone. */
  load(): GivenPeers;
  /** Throws the error of node:fs. */
  save(added: GivenPeers): void;
}

const schema = v.object({
  boot: v.string(),
  added: v.array(
    v.tuple([v.string(), v.object({ environment: v.record(v.string(), v.string()), input: v.string() })]),
  ),
});

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

/** Kept in `file`, 0600: what peers say about themselves may be secret. */
export function extensionMemory(file: string): ExtensionMemory {
  return {
    load() {
      try {
        const { boot, added } = v.parse(schema, JSON.parse(readFileSync(file, 'utf8')));
        return new Map(boot === bootId() ? added : []);
      } catch {
        // None, or none that is of use: then they are all added anew, as at Go flannel's every start.
        return new Map();
      }
    },
    save(added) {
      const text = JSON.stringify({ boot: bootId(), added: [...added] });
      writeWhole(file, text, { file: 0o600, directory: 0o700 });
    },
  };
}
