import path from 'node:path';
import { setUpMasquerade } from '../../firewall/masquerade.ts';
import type { MasqueradeBackend } from '../../firewall/pod-masquerade.ts';
import { IpamError } from '../../ipam/error.ts';
import { type Dns, parseResolvConf } from '../../ipam/resolv-conf.ts';
import { randomMac } from '../../net/mac.ts';
import type { PlannedAddress } from '../attachment/attachment.ts';
import type { AttachmentRequest, Delegated } from '../configuration/delegated.ts';
import { CniError, cniCodes } from '../error.ts';
import { FlannelState } from '../records/flannel-state.ts';
import { findLink, type Session, StepError } from '../attachment/link.ts';
import { openPod } from '../attachment/pod.ts';
import { type AttachmentKey, type AttachmentRecord, keyText, Records } from '../records/record.ts';
import { explain } from '../attachment/refusal.ts';
import { otherAddresses } from '../records/removal.ts';
import { type Result, resultDocument } from '../result.ts';
import { type Caller, checkCaller, Parted, type World } from '../world.ts';
import { type Attaching, type Attachment, attach, ensureBridge, startLinks } from './attach.ts';
import { takeBack } from './way-back.ts';

/**
 * ADD with the delegate done inside; answers the result. One that fails leaves what it found, and what the pods of the node share: the
 * bridge with what it needs, forwarding. What cannot be undone has a record, and so has what its caller was left to do.
 */
export async function add(
  world: World,
  caller: Caller,
  request: AttachmentRequest,
  delegated: Delegated,
): Promise<string> {
  try {
    return await addAttachment(world, caller, request, delegated);
  } catch (error) {
    throw isThere(caller, request, error) ? thereAlready(request) : explain(error, delegated.ipam.routes);
  }
}

/** Whether the pod has an interface of that name, when that may be what was wrong. */
function isThere({ pod }: Caller, { key }: AttachmentRequest, error: unknown): boolean {
  const isDuplicate = error instanceof IpamError && error.code === 'DUPLICATE';
  const isTaken = error instanceof StepError && error.error.code === 'EEXIST';
  if (pod.state !== 'open' || (!isDuplicate && !isTaken)) return false;
  return hasInterface(pod.session, key);
}

/**
 * Asked only when something is known of the attachment, or has gone wrong: by its name only an ioctl finds a link without waiting
 * for RTNL, and that starts modprobe for a name that there is not.
 */
const hasInterface = (pod: Session, { ifname }: AttachmentKey): boolean =>
  findLink(pod, { IFLA_IFNAME: ifname }) !== undefined;

const thereAlready = ({ key, netns }: AttachmentRequest): CniError =>
  new CniError(
    cniCodes.badEnvironment,
    `container veth name ("${key.ifname}") already exists in "${netns}"`,
    'every ADD needs a DEL before the next one',
  );

async function addAttachment(
  world: World,
  caller: Caller,
  request: AttachmentRequest,
  delegated: Delegated,
): Promise<string> {
  const { key, netns } = request;
  const pod = openPod(caller, netns);
  const records = new Records(world.files, request.dataDir);
  const state = new FlannelState(world.files, request.dataDir);
  // What is written of an attachment that stands must not be written over, and then taken away.
  const isKnown = records.has(key) || state.has(key.containerID);
  if (isKnown && hasInterface(pod.session, key)) throw thereAlready(request);
  const before = isKnown ? { record: records.read(key), state: state.read(key.containerID) } : {};
  const dns = delegated.dns ?? readDns(world, caller, delegated);
  const backend = delegated.ipMasq ? await masqueradeBackend(world, delegated) : undefined;
  caller.begin();

  // Before the addresses: what is wrong with the bridge is wrong for every pod.
  const bridge = ensureBridge(world, delegated.options);
  const random = world.random(12);
  const record: AttachmentRecord = {
    ...key,
    netns,
    hostLink: '',
    hostMac: randomMac(random),
    hostNetns: world.hostNetns,
    addresses: [],
    ipamDataDir: delegated.ipam.dataDir,
  };
  const mac = delegated.mac ?? randomMac(random.subarray(6));
  const attaching = { world, caller, delegated, records, pod, record, bridge, mac };
  world.beingMade.add(keyText(key));
  try {
    const ips = await allocate(attaching, request, isKnown);
    record.addresses = ips.map(({ address }) => address);
    state.write(key.containerID, delegated.text);
    if (backend !== undefined) await masquerade(attaching, backend);
    const result = await attach(attaching, ips, (attachment) =>
      resultDocument(resultOf(attachment, request, dns), request.cniVersion),
    );
    world.adoptedBridges.add(bridge.ifindex);
    return result;
  } catch (error) {
    if (!(error instanceof Parted)) await takeBack(attaching, state, before);
    throw error;
  } finally {
    world.beingMade.delete(keyText(key));
  }
}

/**
 * Under the lock: the links are not begun while another holds it, nor for who has an address already, nor where an earlier ADD
 * has left something, of which its record tells until there is an address for this one.
 */
function allocate(
  attaching: Attaching,
  { key }: AttachmentRequest,
  isKnown: boolean,
): Promise<PlannedAddress[]> {
  const { world, caller, delegated } = attaching;
  const { dataDir, sets, requested } = delegated.ipam;
  return world.store(path.join(dataDir, key.network)).withLock((store) => {
    checkCaller(caller);
    if (!isKnown && !store.has(key)) startLinks(attaching);
    return store.allocate(sets, key, requested);
  });
}

/** Rules are found by their addresses, so these are written down before. What is not written down was not made. */
async function masquerade(
  { world, caller, records, record }: Attaching,
  backend: MasqueradeBackend,
): Promise<void> {
  records.write({ ...record, masquerade: backend });
  record.masquerade = backend;
  await setUpMasquerade(world.run, backend, record, otherAddresses(records, record));
  checkCaller(caller);
}

async function masqueradeBackend(world: World, { ipMasqBackend }: Delegated): Promise<MasqueradeBackend> {
  if (ipMasqBackend === undefined) return world.masqueradeBackend();
  await world.expectMasquerade(ipMasqBackend);
  return ipMasqBackend;
}

function readDns(world: World, caller: Caller, { ipam: { resolvConf } }: Delegated): Dns | undefined {
  if (resolvConf === undefined) return undefined;
  caller.expectSame(resolvConf);
  const text = world.files.readGiven(resolvConf);
  if (text === undefined)
    throw new CniError(
      cniCodes.badConfiguration,
      `cannot read resolvConf ${resolvConf}: there is no such file`,
    );
  return parseResolvConf(text);
}

/** In the reference's order, which other plugins of a chain count on: bridge, node's end, pod's end. */
function resultOf(
  { bridge, host, vlanGateway, pod, plan }: Attachment,
  request: AttachmentRequest,
  dns?: Dns,
): Result {
  const inPod = { name: pod.ifname, mac: pod.mac, sandbox: request.netns };
  return {
    interfaces: [bridge, host, inPod, ...(vlanGateway === undefined ? [] : [vlanGateway])],
    ips: plan.ips.map(({ address, gateway }) => ({ address, gateway, interface: 2 })),
    routes: plan.routes,
    dns,
  };
}
