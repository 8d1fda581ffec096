import path from 'node:path';
import { type Owner, ownerKey } from '../../ipam/entry.ts';
import { type Leftover, leftovers, type Sight } from '../../ipam/sweep.ts';
import { entriesIn } from './entries.ts';
import { FlannelState } from './flannel-state.ts';
import { type AttachmentRecord, keyText, Records } from './record.ts';
import { isInside, readDelegate } from '../configuration/recorded-delegate.ts';
import { forgetAttachment, removeAttachment } from './removal.ts';
import { Veths } from './veths.ts';
import type { World } from '../world.ts';

/** How much a sweep has released. */
export interface Swept {
  readonly addresses: number;
  readonly attachments: number;
}

/** A network's directory of addresses, and what our records say of it. */
interface Place {
  readonly network: string;
  readonly directory: string;
  readonly records: AttachmentRecord[];
}

/**
 * Releases what nobody uses any more: addresses from before this boot, and attachments of ours whose veth pair is gone. A
 * container runtime that died, or gave up on a pod, never sends the DEL. `dataDir` is flannel's. Never rejects.
 */
export async function sweep(world: World, dataDir: string): Promise<Swept> {
  const swept = { addresses: 0, attachments: 0 };
  await guarded(world, 'leftovers of pods', async () => {
    const records = new Records(world.files, dataDir);
    const state = new FlannelState(world.files, dataDir);
    // Before the links: whose link is not there then has lost it, or has an address so young that it stays.
    const places = placesOf(records, state, world.beingMade);
    const veths = new Veths(world.host);
    await guarded(world, 'what an earlier version recorded', async () =>
      nameNamespace(world, records, places, veths),
    );
    for (const place of places) {
      await guarded(world, `leftovers of pods in network ${place.network}`, async () => {
        const released = await sweepPlace(world, records, place, veths);
        swept.addresses += released.length;
        for (const entry of released) forgetStranger(records, state, place, entry);
        swept.attachments += await forgetGone(world, records, state, place, veths);
      });
    }
  });
  if (swept.addresses + swept.attachments > 0) world.log.info(swept, 'swept up what pods left behind');
  return swept;
}

/** One network that cannot be swept keeps none of the others. */
async function guarded({ log }: World, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.warn({ err: error }, `${what} could not be swept up; the next sweep tries again`);
  }
}

/** Every network that has a record of ours or a state file of flannel's. */
function placesOf(records: Records, state: FlannelState, beingMade: ReadonlySet<string>): Place[] {
  const places = new Map<string, Place>();
  const at = (dataDir: string, network: string): Place => {
    const directory = path.join(dataDir, network);
    const place = places.get(directory) ?? { network, directory, records: [] };
    places.set(directory, place);
    return place;
  };
  for (const key of records.keys()) {
    if (beingMade.has(keyText(key))) continue;
    const record = records.read(key);
    if (record !== undefined && record.ipamDataDir !== '')
      at(record.ipamDataDir, key.network).records.push(record);
  }
  for (const containerID of state.containers()) {
    const written = readDelegate(state.read(containerID));
    if (written !== undefined && isInside(written)) at(written.ipamDataDir, written.network);
  }
  return [...places.values()];
}

/** Earlier versions did not say where a link is: what is seen here is here. */
function nameNamespace({ hostNetns }: World, records: Records, places: readonly Place[], veths: Veths): void {
  for (const record of places.flatMap((place) => place.records)) {
    if (record.hostNetns !== undefined || veths.find(record) === undefined) continue;
    if (isStill(records, record)) records.write({ ...record, hostNetns });
  }
}

/** Under the lock, with what is written there now. */
async function sweepPlace(world: World, records: Records, place: Place, veths: Veths): Promise<Owner[]> {
  const { directory } = place;
  const addresses = world.existingStore(directory);
  if (addresses === undefined) return [];
  const sights = new Map(place.records.map((record) => [ownerKey(record), sightOf(world, record, veths)]));
  const sighting = { bootTime: world.bootTime, now: world.clock.now(), veths: sights };
  const released = await addresses.withLock((store) => {
    const found = leftovers(store.entries(), sighting);
    const gone = found.length === 0 ? [] : withoutLive(world, records, place, found);
    store.releaseAll(gone.map(({ entry }) => entry));
    return gone;
  });
  for (const { entry, reason } of released) world.log.info({ ...entry, reason }, 'released an address');
  return released.map(({ entry }) => entry);
}

/**
 * Looked at again, under the lock: an ADD may have made its links meanwhile. After that it looks, under the lock, whether it still has
 * its addresses.
 */
function withoutLive(
  world: World,
  records: Records,
  { network }: Place,
  found: readonly Leftover[],
): Leftover[] {
  const veths = new Veths(world.host);
  return found.filter(({ entry }) => {
    const key = { network, ...entry };
    const record = records.read(key);
    return !world.beingMade.has(keyText(key)) && (record === undefined || veths.find(record) === undefined);
  });
}

/** Another namespace that had our number is gone, and its links with it: what bears that number and is not seen is nowhere. */
function sightOf({ hostNetns }: World, record: AttachmentRecord, veths: Veths): Sight {
  if (veths.find(record) !== undefined) return 'there';
  return record.hostNetns === hostNetns ? 'gone' : 'elsewhere';
}

/** What Go's flannel added has no record, but a state file. */
function forgetStranger(records: Records, state: FlannelState, { network }: Place, owner: Owner): void {
  const key = { network, ...owner };
  if (records.read(key) === undefined) forgetAttachment(records, state, key);
}

/** Records of attachments that have neither a link nor an address any more: rules and files are what is left of them. */
async function forgetGone(
  world: World,
  records: Records,
  state: FlannelState,
  place: Place,
  veths: Veths,
): Promise<number> {
  const gone = place.records.filter((record) => {
    const sight = sightOf(world, record, veths);
    return sight === 'gone' || (sight === 'elsewhere' && isBeforeBoot(world, records, record));
  });
  if (gone.length === 0) return 0;
  const held = new Set((await entriesIn(world, place.directory)).map(ownerKey));
  let forgotten = 0;
  for (const record of gone.filter((each) => !held.has(ownerKey(each)))) {
    // The container runtime may have sent a DEL, and even another ADD, while we waited for the lock.
    if (world.beingMade.has(keyText(record)) || !isStill(records, record)) continue;
    await removeAttachment(world, records, {
      key: record,
      record,
      veths,
      ipamDataDirs: [],
      masquerade: record.masquerade === undefined ? [] : [record.masquerade],
    });
    forgetAttachment(records, state, record);
    forgotten++;
  }
  return forgotten;
}

/** No link of before the boot is left, whichever namespace it was in. */
const isBeforeBoot = ({ bootTime }: World, records: Records, record: AttachmentRecord): boolean =>
  (records.modified(record) ?? bootTime) < bootTime;

const isStill = (records: Records, { hostLink, ...key }: AttachmentRecord): boolean =>
  records.read(key)?.hostLink === hostLink;
