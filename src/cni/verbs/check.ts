import path from 'node:path';
import { rangeFor } from '../../ipam/range-set.ts';
import { prefixAddress } from '../../net/prefix.ts';
import type { AttachmentRequest, Delegated } from '../configuration/delegated.ts';
import { entriesIn } from '../records/entries.ts';
import { CniError, cniCodes } from '../error.ts';
import { checkLinks } from '../attachment/link-check.ts';
import { openPod } from '../attachment/pod.ts';
import type { Result } from '../result.ts';
import { checkRoutes } from '../attachment/route-check.ts';
import type { Caller, World } from '../world.ts';

/**
 * CHECK: whether what the chain's last result names is there still. What later plugins of a chain change (MAC, MTU, qdiscs,
 * routes in other tables) is theirs to check, and what udev does to the node's end does no harm. Throws a
 * CniError that says what is broken.
 */
export async function check(
  world: World,
  caller: Caller,
  { key, netns }: AttachmentRequest,
  delegated: Delegated,
  previous: Result | undefined,
): Promise<void> {
  const pod = openPod(caller, netns);
  if (previous === undefined) throw new CniError(cniCodes.badConfiguration, 'Required prevResult missing');
  await checkReservations(world, key, delegated, previous);
  const own = previous.interfaces.findIndex(
    ({ name, sandbox }) => name === key.ifname && sandbox !== undefined,
  );
  if (own === -1 && previous.interfaces.length > 0) {
    throw new CniError(cniCodes.brokenAttachment, `prevResult has no interface ${key.ifname} with a sandbox`);
  }
  const link = checkLinks(world.host, pod.session, key.ifname, delegated.options, previous);
  const ips = previous.ips.filter((ip) => ip.interface === undefined || ip.interface === own);
  checkRoutes(pod.session, link.ifi_index, key.ifname, { ...previous, ips });
}

/** Each address of our ranges must be reserved for this attachment, or another pod will get it too. */
async function checkReservations(
  world: World,
  key: AttachmentRequest['key'],
  { ipam }: Delegated,
  { ips }: Result,
): Promise<void> {
  const directory = path.join(ipam.dataDir, key.network);
  const own = (await entriesIn(world, directory)).filter(
    ({ containerID, ifname }) => containerID === key.containerID && (ifname === key.ifname || ifname === ''),
  );
  const addresses = ips.map(({ address }) => prefixAddress(address));
  const ours = addresses.filter((address) => ipam.sets.some((set) => rangeFor(set, address) !== undefined));
  const lost = ours.find((address) => !own.some((entry) => entry.address === address));
  if (lost === undefined && own.length > 0) return;
  throw new CniError(
    cniCodes.brokenAttachment,
    `host-local: Failed to find address added by container ID: ${key.containerID}`,
    `${lost ?? 'its address'} is not reserved in ${directory}, and may be given to another pod: delete this pod`,
  );
}
