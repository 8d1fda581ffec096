import type { DatedEntry } from '../ipam/store.ts';
import type { World } from './world.ts';

/** What is reserved in `<ipam.dataDir>/<network>`; nothing where there is no such directory. */
export async function entriesIn(world: World, directory: string): Promise<DatedEntry[]> {
  return (await world.existingStore(directory)?.withLock((store) => store.entries())) ?? [];
}
