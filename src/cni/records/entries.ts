import type { Entry } from '../../ipam/entry.ts';
import type { DatedEntry } from '../../ipam/store.ts';
import { prefixAddress } from '../../net/prefix.ts';
import type { AttachmentRecord } from './record.ts';
import type { World } from '../world.ts';

/** What is reserved in `<ipam.dataDir>/<network>`; nothing where there is no such directory. */
export async function entriesIn(world: World, directory: string): Promise<DatedEntry[]> {
  return (await world.existingStore(directory)?.withLock((store) => store.entries())) ?? [];
}

/** What is reserved for an attachment, as its record has it. */
export const entriesOf = ({ containerID, ifname, addresses }: AttachmentRecord): Entry[] =>
  addresses.map((address) => ({ containerID, ifname, address: prefixAddress(address) }));
