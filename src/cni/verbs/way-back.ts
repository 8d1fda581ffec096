import path from 'node:path';
import { entriesOf } from '../records/entries.ts';
import type { FlannelState } from '../records/flannel-state.ts';
import type { AttachmentRecord } from '../records/record.ts';
import { detach, forgetAttachment } from '../records/removal.ts';
import type { World } from '../world.ts';
import { type Attaching, abandonLinks } from './attach.ts';

/** What was written, and is written over: of an earlier ADD that has left something, or of another network's. */
interface Before {
  record?: AttachmentRecord | undefined;
  state?: string | undefined;
}

/**
 * As DEL does it, by the record alone: the pod's namespace may hold what the caller made meanwhile. Without an address
 * nothing was done but what was started: what else there is belongs to somebody else.
 */
export async function takeBack(attaching: Attaching, state: FlannelState, before: Before): Promise<void> {
  const { world, records, record } = attaching;
  const isStarted = record.hostLink !== '';
  if (record.addresses.length === 0 && !isStarted) return;
  const masquerade = record.masquerade === undefined ? [] : [record.masquerade];
  try {
    if (isStarted) await abandonLinks(attaching);
    await detach(world, records, { key: record, record, masquerade });
    await release(world, record);
    forgetAttachment(records, state, record);
    if (before.record !== undefined) records.write(before.record);
    if (before.state !== undefined) state.write(record.containerID, before.state);
  } catch (error) {
    // The error that led here matters more.
    world.log.warn({ err: error, ...record }, 'an ADD that failed could not be undone entirely');
    keepRecord(attaching, before);
  }
}

/** What this ADD got, and no more: its interface may have had an address before. */
async function release(world: World, record: AttachmentRecord): Promise<void> {
  if (record.addresses.length === 0) return;
  const addresses = world.existingStore(path.join(record.ipamDataDir, record.network));
  await addresses?.withLock((store) => store.releaseAll(entriesOf(record)));
}

/** DEL and the sweep go by it: by that of an earlier ADD, unless this one has made a link. */
function keepRecord({ world, records, record }: Attaching, before: Before): void {
  try {
    records.write(record.hostLink === '' ? (before.record ?? record) : record);
  } catch (error) {
    world.log.warn({ err: error, ...record }, 'what is left of an ADD that failed has no record');
  }
}
