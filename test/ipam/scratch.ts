import fs from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { Owner } from '../../src/ipam/entry.ts';
import type { Files } from '../../src/ipam/files.ts';
import type { Flock } from '../../src/ipam/lock-file.ts';
import { parseRangeSets, type RangeSet } from '../../src/ipam/range-set.ts';
import { openStore, type Store } from '../../src/ipam/store.ts';
import { type Address, address } from '../../src/net/address.ts';
import { type Clock, systemClock } from '../../src/world/clock.ts';

/** A directory that is gone when the test has ended, however it ended. */
export function scratchDirectory(): string {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-ipam-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/**
 * flock(2) among the descriptors of this process, exclusive locks only: one holder an inode. As in the kernel a lock ends
 * with its descriptor; the numbers of both may come again, for another file and in another test's thread.
 */
export function memoryFlock(): Flock {
  const holders = new Map<number, number>();
  const isOpen = (fd: number, ino: number): boolean => {
    try {
      return fs.fstatSync(fd).ino === ino;
    } catch {
      return false;
    }
  };
  return (fd, operation) => {
    const { ino } = fs.fstatSync(fd);
    if ((operation & 8) !== 0) {
      if (holders.get(ino) === fd) holders.delete(ino);
      return 0;
    }
    const holder = holders.get(ino);
    if (holder !== undefined && holder !== fd && isOpen(holder, ino)) return -constants.errno.EAGAIN;
    holders.set(ino, fd);
    return 0;
  };
}

/** A store that is closed when the test has ended. */
export function scratchStore(
  directory: string,
  world: { files?: Files; flock?: Flock; clock?: Clock } = {},
): Store {
  const store = openStore({ directory, files: fs, flock: () => 0, clock: systemClock, ...world });
  onTestFinished(() => store.close());
  return store;
}

/** One set for each list of subnets. */
export const setsOf = (...sets: string[][]): RangeSet[] =>
  parseRangeSets({ ranges: sets.map((set) => set.map((subnet) => ({ subnet }))), cniVersion: '1.0.0' });

export const owner = (containerID: string, ifname = 'eth0'): Owner => ({ containerID, ifname });

export const slash24 = setsOf(['10.1.2.0/24']);

/** What a container gets, perhaps the addresses that it has asked for. */
export const add = (
  store: Store,
  sets: readonly RangeSet[],
  id: string,
  ifname?: string,
  ...requested: string[]
): Promise<string[]> =>
  store.withLock((locked) =>
    locked.allocate(sets, owner(id, ifname), requested.map(address)).map((each) => each.address),
  );

export const release = (store: Store, id: string, ifname?: string): Promise<Address[]> =>
  store.withLock((locked) => locked.release(owner(id, ifname)));

export const read = (directory: string, name: string): string =>
  fs.readFileSync(path.join(directory, name), 'utf8');

export const write = (directory: string, name: string, content: string): void =>
  fs.writeFileSync(path.join(directory, name), content);

/** The addresses that have files. */
export const reserved = (directory: string): string[] =>
  fs.readdirSync(directory).filter((name) => name !== 'lock' && !name.startsWith('last_reserved_ip.'));
