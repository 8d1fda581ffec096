import path from 'node:path';
import { collectMasquerade } from '../../firewall/masquerade.ts';
import { type Owner, ownerKey } from '../../ipam/entry.ts';
import { staleEntries } from '../../ipam/gc.ts';
import { CniError, cniCodes } from '../error.ts';
import { FlannelState } from '../records/flannel-state.ts';
import { type AttachmentKey, Records } from '../records/record.ts';
import { isInside, possibleBackends, readDelegate } from '../configuration/recorded-delegate.ts';
import { forgetAttachment, removeAttachment } from '../records/removal.ts';
import { Veths } from '../records/veths.ts';
import type { Caller, World } from '../world.ts';
import type { Present } from './del.ts';

/** What one GC is about. */
export interface Collection {
  network: string;
  dataDir: string;
  /** Everything else of this network goes. */
  valid: readonly Owner[];
  present: Present;
}

/**
 * GC: removes what no valid attachment needs. It goes on past an error, so that one does not keep the rest; all of them
 * are in the CniError that is thrown in the end.
 */
export async function gc(world: World, caller: Caller, collection: Collection): Promise<void> {
  const { network, dataDir, valid, present } = collection;
  caller.expect([path.dirname(dataDir)]);
  const backends = possibleBackends(present.ipMasq, present.ipMasqBackend);
  for (const backend of backends) await world.expectMasquerade(backend);
  caller.begin();
  const records = new Records(world.files, dataDir);
  const state = new FlannelState(world.files, dataDir);
  const problems: string[] = [];
  const attempt = (work: () => Promise<unknown>) =>
    work().catch((error: unknown) => problems.push(error instanceof Error ? error.message : String(error)));

  const keep = new Set(valid.map(ownerKey));
  const stale = records.keys(network).filter((key) => !keep.has(ownerKey(key)));
  const veths = new Veths(world.host);
  for (const key of stale) await attempt(() => removeRecorded(world, records, state, veths, key));

  const strangers = statesOf(state, collection);
  const directories = new Set([present.ipamDataDir, ...strangers.map(({ ipamDataDir }) => ipamDataDir)]);
  for (const directory of directories)
    await attempt(() => release(world, path.join(directory, network), valid));
  for (const backend of backends) {
    await attempt(() => collectMasquerade(world.run, backend, network, valid));
  }
  if (problems.length === 0) for (const { containerID } of strangers) state.remove(containerID);
  else throw new CniError(cniCodes.internal, 'GC left something behind', problems.join('; '));
}

async function removeRecorded(
  world: World,
  records: Records,
  state: FlannelState,
  veths: Veths,
  key: AttachmentKey,
): Promise<void> {
  const record = records.read(key);
  await removeAttachment(world, records, {
    key,
    record,
    veths,
    ipamDataDirs: record === undefined ? [] : [record.ipamDataDir],
    masquerade: record?.masquerade === undefined ? [] : [record.masquerade],
  });
  forgetAttachment(records, state, key);
}

/** The state files that Go's flannel left for this network's containers, of which none is valid. */
function statesOf(
  state: FlannelState,
  { network, valid }: Collection,
): { containerID: string; ipamDataDir: string }[] {
  const alive = new Set(valid.map(({ containerID }) => containerID));
  return state.containers().flatMap((containerID) => {
    if (alive.has(containerID)) return [];
    const written = readDelegate(state.read(containerID));
    if (written?.network !== network || !isInside(written)) return [];
    return [{ containerID, ipamDataDir: written.ipamDataDir }];
  });
}

async function release(world: World, directory: string, valid: readonly Owner[]): Promise<void> {
  const addresses = world.existingStore(directory);
  await addresses?.withLock((store) => store.releaseAll(staleEntries(store.entries(), valid)));
}
