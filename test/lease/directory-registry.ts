import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { DirectoryRegistry, type DirectoryRegistryOptions } from '../../src/lease/directory.ts';
import { address } from '../../src/net/address.ts';
import { type Clock, sleep, systemClock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { systemRandom } from '../../src/world/random.ts';

/** Registries in a directory of the test. */

const binding = loadBinding();

export const ranges = {
  ipv4: { length: 24, min: address('10.244.1.0'), max: address('10.244.255.0') },
  ipv6: { length: 64, min: address('fd00:244:0:1::'), max: address('fd00:244:0:ff::') },
};

/** A place for the leases, where nothing is yet; gone when the test has ended. */
export function scratch(): string {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-leases-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }));
  return path.join(directory, 'leases');
}

export const registry = (directory: string, node: string, world: Partial<DirectoryRegistryOptions> = {}) =>
  new DirectoryRegistry({
    directory,
    node,
    ranges,
    files: fs,
    flock: (fd, operation) => binding.flock(fd, operation),
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    knowsPeers: () => false,
    ...world,
  });

export const write = (directory: string, node: string, text: string): void =>
  fs.writeFileSync(path.join(directory, `${node}.json`), text);

/** Waits are so many times shorter. */
export const hurried = (times: number): Clock => ({
  ...systemClock,
  after: (ms, call) => systemClock.after(ms / times, call),
});

export async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > 10_000) throw new Error(`it did not come to this: ${condition.toString()}`);
    await sleep(systemClock, 5);
  }
}
