import path from 'node:path';
import type { AttachmentRequest } from '../delegated.ts';
import { FlannelState } from '../flannel-state.ts';
import { refuseOwnNamespace } from '../pod.ts';
import { Records } from '../record.ts';
import { isInside, possibleBackends, type RecordedDelegate, readDelegate } from '../recorded-delegate.ts';
import { forgetAttachment, removeAttachment } from '../removal.ts';
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
  present: Present,
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
  const ipamDataDirs = [record ?? [], written ?? []].flat().flatMap(({ ipamDataDir }) => ipamDataDir || []);
  // They were there at ADD: where they cannot be seen, the addresses would leak.
  caller.expect(ipamDataDirs);
  const { ipMasq, ipMasqBackend } = written ?? present;
  const recorded = record?.masquerade === undefined ? [] : [record.masquerade];
  const masquerade = record === undefined ? possibleBackends(ipMasq, ipMasqBackend) : recorded;
  for (const backend of masquerade) await world.expectMasquerade(backend);
  caller.begin();
  await removeAttachment(world, records, {
    key,
    record,
    pod: caller.pod.state === 'open' ? caller.pod.session : undefined,
    ipamDataDirs: [...ipamDataDirs, present.ipamDataDir],
    masquerade,
  });
  forgetAttachment(records, state, key);
}
