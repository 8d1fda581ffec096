import path from 'node:path';
import type { MasqueradeBackend } from '../../firewall/pod-masquerade.ts';
import type { AttachmentRequest } from '../configuration/delegated.ts';
import { FlannelState } from '../records/flannel-state.ts';
import { refuseOwnNamespace } from '../attachment/pod.ts';
import { type AttachmentRecord, Records } from '../records/record.ts';
import {
  isInside,
  possibleBackends,
  type RecordedDelegate,
  readDelegate,
} from '../configuration/recorded-delegate.ts';
import { forgetAttachment, removeAttachment } from '../records/removal.ts';
import type { Caller, World } from '../world.ts';
import { runDelegate } from './delegate.ts';

/** What the configuration of now says; it may have changed since the ADD. Undefined: it says nothing usable. */
export type Present = Pick<RecordedDelegate, 'ipamDataDir' | 'ipMasq' | 'ipMasqBackend'>;

/**
 * DEL by container ID, interface name and network alone: whatever else is missing or wrong, what can be
 * found goes, and that nothing is left is success. Throws an Error when something that is there cannot be
 * removed; the records stay then, for the next DEL.
 */
export async function del(
  world: World,
  caller: Caller,
  request: AttachmentRequest,
  presentOf: () => Present,
): Promise<void> {
  const { key, dataDir } = request;
  refuseOwnNamespace(caller);
  caller.expect([path.dirname(dataDir)]);
  const records = new Records(world.files, dataDir);
  const state = new FlannelState(world.files, dataDir);
  const record = records.read(key);
  const read = readDelegate(state.read(key.containerID));
  const written = read?.network === key.network ? read : undefined;
  if (record === undefined && written !== undefined && !isInside(written)) {
    await runDelegate(caller, written.type, written.text);
    return forgetAttachment(records, state, key);
  }
  // A record that is whole tells all there is to know.
  const present = record?.ipamDataDir ? undefined : presentOf();
  const ipamDataDirs = [record ?? [], written ?? []].flat().flatMap(({ ipamDataDir }) => ipamDataDir || []);
  // They were there at ADD: where they cannot be seen, the addresses would leak.
  caller.expect(ipamDataDirs);
  const masquerade = backendsOf(record, written ?? present);
  for (const backend of masquerade) await world.expectMasquerade(backend);
  caller.begin();
  await removeAttachment(world, records, {
    key,
    record,
    pod: caller.pod.state === 'open' ? caller.pod.session : undefined,
    ipamDataDirs: [...ipamDataDirs, present?.ipamDataDir ?? []].flat(),
    masquerade,
  });
  forgetAttachment(records, state, key);
}

/** Which rules may be there: the record's, or those that the configuration asks for. */
function backendsOf(record?: AttachmentRecord, by?: Present): readonly MasqueradeBackend[] {
  if (record !== undefined) return record.masquerade === undefined ? [] : [record.masquerade];
  return by === undefined ? [] : possibleBackends(by.ipMasq, by.ipMasqBackend);
}
