import path from 'node:path';
import { tearDownMasquerade } from '../../firewall/masquerade.ts';
import type { MasqueradeBackend } from '../../firewall/pod-masquerade.ts';
import type { Prefix } from '../../net/prefix.ts';
import { isNetlinkError } from '../../netlink/error.ts';
import { delLink, type LinkMessage } from '../../netlink/route/link.ts';
import { glanceAtLink } from '../../netlink/route/link-announcement.ts';
import type { FlannelState } from './flannel-state.ts';
import { findLink, type Session } from '../attachment/link.ts';
import { type AttachmentKey, type AttachmentRecord, type Records, sameKey } from './record.ts';
import { readDelegate } from '../configuration/recorded-delegate.ts';
import { isVeth, Veths } from './veths.ts';
import type { World } from '../world.ts';

/** Links and rules that are to go, as far as anybody knows. */
interface Detachment {
  key: AttachmentKey;
  record?: AttachmentRecord | undefined;
  /** A socket in the pod's namespace, when that can still be entered and is not our own. */
  pod?: Session | undefined;
  /** One for all that are removed in one go: each asks the kernel for every link there is. */
  veths?: Veths | undefined;
  /** Rules that may be there: of the record, or because the configuration asks for them. */
  masquerade: readonly MasqueradeBackend[];
}

/** The same with its addresses. */
export interface Removal extends Detachment {
  /** host-local's directories, without the network, in which an address of it may be kept. */
  ipamDataDirs: readonly string[];
}

/**
 * Takes an attachment away, whatever is left of it: the link first, so that nobody gets an address that
 * is still in use; then the rules, then the addresses. Throws the first step's error, with the steps after it undone.
 */
export async function removeAttachment(world: World, records: Records, removal: Removal): Promise<void> {
  await detach(world, records, removal);
  for (const dataDir of new Set(removal.ipamDataDirs)) {
    const addresses = world.existingStore(path.join(dataDir, removal.key.network));
    await addresses?.withLock((store) => store.release(removal.key));
  }
}

/** Takes away all but the addresses, which can be released then. */
export async function detach(world: World, records: Records, detachment: Detachment): Promise<void> {
  await removeLinks(world, detachment);
  const { key, record, masquerade } = detachment;
  const others = masquerade.length === 0 ? [] : otherAddresses(records, key);
  const rules = { ...key, addresses: record?.addresses ?? [] };
  for (const backend of masquerade) await tearDownMasquerade(world.run, backend, rules, others);
}

/** The masqueraded addresses of the container's other interfaces in the same network: they share a chain. */
export function otherAddresses(records: Records, key: AttachmentKey): Prefix[] {
  return records
    .ofContainer(key)
    .filter((other) => !sameKey(other, key))
    .flatMap((other) => records.read(other) ?? [])
    .flatMap((record) => (record.masquerade === undefined ? [] : record.addresses));
}

/** Either end takes the other with it. */
async function removeLinks(world: World, { key, record, pod, veths }: Detachment): Promise<void> {
  const recorded = record?.hostLink ? findRecorded(world.host, record, veths) : undefined;
  if (recorded !== undefined) return world.removeLink(recorded.ifi_index);
  if (pod !== undefined) await removeInPod(pod, key);
}

/** All links are asked for only when none has both the name and the MAC any more. */
function findRecorded(
  host: Session,
  record: AttachmentRecord,
  veths = new Veths(host),
): LinkMessage | undefined {
  const named = findLink(host, { IFLA_IFNAME: record.hostLink }, glanceAtLink);
  const isSame = named !== undefined && isVeth(named) && named.IFLA_ADDRESS === record.hostMac;
  return isSame ? named : veths.find(record);
}

/**
 * Without a record there: which link on the node is the other end, only the pod says, and a pod that may change its network can
 * name another pod's.
 */
async function removeInPod(pod: Session, { ifname }: AttachmentKey): Promise<void> {
  const link = findLink(pod, { IFLA_IFNAME: ifname });
  if (link === undefined) return;
  const removal = delLink({ ifi_index: link.ifi_index });
  // The first one on a thread, for it waits for RCU; the second says whether the link is gone.
  await pod.post([removal]);
  try {
    pod.request(removal);
  } catch (error) {
    if (!isNetlinkError(error, 'ENODEV')) throw error;
  }
}

/** Removes the files that tell of an attachment: last, when all that they tell of is gone. */
export function forgetAttachment(records: Records, state: FlannelState, key: AttachmentKey): void {
  records.remove(key);
  // flannel's file serves all interfaces of a container, and tells of the network that was added last: of that it must be the last one.
  if (records.ofContainer(key).length > 0) return;
  const written = readDelegate(state.read(key.containerID));
  if (written === undefined || written.network === key.network) state.remove(key.containerID);
}
