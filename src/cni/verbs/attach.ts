import path from 'node:path';
import type { Family } from '../../net/address.ts';
import { type Mac, randomMac } from '../../net/mac.ts';
import {
  type AddressPlan,
  type Bridge,
  type BridgeOptions,
  type GatewayLink,
  type PlannedAddress,
  planAddresses,
  planPort,
} from '../attachment/attachment.ts';
import { bridgeStep, isReady } from '../attachment/bridge.ts';
import { linkLocal } from '../attachment/pod-end.ts';
import { vethStep } from '../attachment/veth.ts';
import { hasVlans } from '../attachment/vlan.ts';
import type { Delegated } from '../configuration/delegated.ts';
import { settleAddresses } from '../attachment/duplicate-address.ts';
import { entriesOf } from '../records/entries.ts';
import { CniError, cniCodes } from '../error.ts';
import { apply, findLink, type Session, StepError } from '../attachment/link.ts';
import type { AttachmentRecord, Records } from '../records/record.ts';
import { vlansAreOff } from '../attachment/refusal.ts';
import { addressTasks, hostTasks, portTasks, type Task, vanished } from '../attachment/task.ts';
import { ensureVlanGateway } from '../attachment/vlan-gateway.ts';
import type { Caller, World } from '../world.ts';

export interface Attaching {
  world: World;
  caller: Caller;
  delegated: Delegated;
  records: Records;
  pod: { fdOfCaller: number; session: Session };
  record: AttachmentRecord;
  bridge: Bridge;
  /** Of the pod's end. */
  mac: Mac;
}

/** What is to be there, as the result names it. */
export interface Attachment {
  bridge: { name: string; mac: Mac };
  host: { name: string; mac: Mac };
  /** With a VLAN. */
  vlanGateway?: { name: string; mac: Mac } | undefined;
  pod: { ifname: string; mac: Mac };
  plan: AddressPlan;
}

/** Random names for the node's end, until one is free. */
const nameAttempts = 10;

/**
 * Has the links made while addresses are handed out; `attach` must follow, or `abandonLinks`. Not where the bridge still needs
 * something, for that may be refused when the addresses are known.
 */
export function startLinks(attaching: Attaching): void {
  const { caller, bridge, delegated } = attaching;
  const { start } = caller;
  if (start === undefined || !isReady({ bridge, options: delegated.options }, delegated.ipam.sets.flat()))
    return;
  for (const tasks of newLinks(attaching)) start(tasks);
}

/** Waits until what was started is over, however it went. */
export async function abandonLinks(attaching: Attaching): Promise<void> {
  try {
    await attaching.caller.perform([]);
  } catch (error) {
    if (isNameTaken(attaching, error)) attaching.record.hostLink = '';
  }
}

/**
 * The links unless they are started, and what comes with the addresses; answers the result, which `describe` makes. Rejects
 * with an Error.
 */
export async function attach(
  attaching: Attaching,
  ips: readonly PlannedAddress[],
  describe: (attachment: Attachment) => string,
): Promise<string> {
  const { record } = attaching;
  const vlanGateway = gatewayOf(attaching);
  const plan = planOf(attaching, vlanGateway, ips);
  for (let attempt = 1; ; attempt++) {
    const links = record.hostLink === '' ? [...newLinks(attaching)].flat() : [];
    // It names the node's end and the addresses, so that whoever is killed from now on leaves nothing that cannot be found.
    attaching.records.write(record);
    const attachment = attachmentOf(attaching, vlanGateway, plan);
    const result = describe(attachment);
    try {
      await perform(attaching, attachment, links, result);
      return result;
    } catch (error) {
      if (!isNameTaken(attaching, error)) throw error;
      // What bears that name is another's: the way back must not take it for ours.
      record.hostLink = '';
      if (attempt === nameAttempts) throw error;
    }
  }
}

/** Only what is refused when it is made can have a name that is another's. */
function isNameTaken({ world, record }: Attaching, error: unknown): boolean {
  const isRefused =
    error instanceof StepError && error.step.message === 'newLink' && error.error.code === 'EEXIST';
  const taken = isRefused ? findLink(world.host, { IFLA_IFNAME: record.hostLink }) : undefined;
  return taken !== undefined && taken.IFLA_ADDRESS !== record.hostMac;
}

/** What it takes to make the links, the longest part first. */
function* newLinks(attaching: Attaching): Generator<Task[], void> {
  const { world, delegated, record, bridge, pod, mac } = attaching;
  record.hostLink = `veth${Buffer.from(world.random(4)).toString('hex')}`;
  const ends = {
    host: { name: record.hostLink, mac: record.hostMac },
    pod: { ifname: record.ifname, mac, netnsFd: pod.fdOfCaller },
  };
  const veth = { options: delegated.options, bridge, ...ends };
  yield hostTasks([vethStep(veth)]);
  const families = delegated.ipam.sets.flatMap(([range]): Family[] =>
    range === undefined ? [] : [range.family],
  );
  yield portTasks(planPort({ ...veth, families, forwarding: world.forwarding() }), ends);
}

function planOf(
  { world, delegated, bridge }: Attaching,
  vlanGateway: GatewayLink | undefined,
  ips: readonly PlannedAddress[],
): AddressPlan {
  const { options, ipam } = delegated;
  const gateway = vlanGateway ?? { name: options.bridge, ...bridge };
  return planAddresses({
    options,
    bridge,
    gateway,
    ips,
    routes: ipam.routes,
    ipv6RouteMtu: world.ipv6RouteMtu,
  });
}

const attachmentOf = (
  { delegated, record, bridge, mac }: Attaching,
  vlanGateway: GatewayLink | undefined,
  plan: AddressPlan,
): Attachment => ({
  bridge: { name: delegated.options.bridge, mac: bridge.mac },
  host: { name: record.hostLink, mac: record.hostMac },
  vlanGateway: vlanGateway && { name: vlanGateway.name, mac: vlanGateway.mac },
  pod: { ifname: record.ifname, mac },
  plan,
});

/** Duplicate address detection, where it is on, comes between the tasks and the result. */
async function perform(
  { world, caller, delegated, record, pod: { session } }: Attaching,
  { plan, pod }: Attachment,
  links: readonly Task[],
  result: string,
): Promise<void> {
  const { enabledad } = delegated.options;
  const tasks = [...hostTasks(plan.bridge), ...links, ...addressTasks(plan, pod)];
  // Before others hear of an address.
  if (!caller.isWarm) await expectAddresses(world, record);
  const isDeferred = await caller.perform(tasks, enabledad ? undefined : result);
  // Soon that name may be another attachment's.
  const ifindex = enabledad ? session.indexOf(pod.ifname) : indexOf(world, session, pod.ifname);
  if (enabledad) {
    if (ifindex === undefined) throw vanished(pod.ifname);
    await settleAddresses(session, ifindex, world.clock);
    // Printed like any other: whoever cannot print it says so, and it is undone.
    await caller.perform([], result);
  }
  // Now that there is a link, the sweep leaves them.
  if (!caller.isWarm) await expectAddresses(world, record);
  if (ifindex === undefined) return;
  await caller.afterwards(async () => {
    const late = isDeferred ? linkLocal(pod.mac, ifindex) : [];
    const requests = [...plan.announcements(ifindex), ...late];
    await session.post(requests).catch((error: unknown) => notAnnounced(world, pod.ifname, error));
  });
}

/**
 * A stand-alone ADD may have waited for long: for a program's lock, on a machine that slept. What was handed out to it is swept up
 * meanwhile, or a DEL of a runtime that gave up on it releases it. Throws a CniError then.
 */
async function expectAddresses(world: World, record: AttachmentRecord): Promise<void> {
  const { addresses } = record;
  const store = world.existingStore(path.join(record.ipamDataDir, record.network));
  const held = await store?.withLock((locked) => locked.stillHeld(entriesOf(record)));
  if (addresses.length === (held?.length ?? 0)) return;
  throw new CniError(
    cniCodes.tryAgainLater,
    `the ADD took so long that its addresses (${addresses.join(', ')}) were released, and another pod may have them`,
  );
}

/** Whatever becomes of it, the attachment stands: its result may be out. */
function indexOf(world: World, session: Session, ifname: string): number | undefined {
  try {
    return session.indexOf(ifname);
  } catch (error) {
    notAnnounced(world, ifname, error);
    return undefined;
  }
}

const notAnnounced = ({ log }: World, ifname: string, err: unknown): void =>
  log.warn({ err, ifname }, 'a new pod could not be announced to its neighbours');

/** Makes the bridge where there is none. Throws an Error when the name is another link's, or VLANs cannot be had. */
export function ensureBridge(world: World, options: BridgeOptions): Bridge {
  let bridge = world.observeBridge(options.bridge);
  if (bridge === undefined) {
    apply(world.host, [bridgeStep(options, randomMac(world.random(6)))]);
    bridge = world.observeBridge(options.bridge);
  }
  if (bridge === undefined) throw new Error(`the bridge ${options.bridge} vanished while it was set up`);
  if (hasVlans(options) && bridge.defaultPvid === undefined) {
    throw new Error(`the delegate asks for a VLAN, and bridges of this kernel know none; ${vlansAreOff}`);
  }
  return { ...bridge, adopted: world.adoptedBridges.has(bridge.ifindex) };
}

function gatewayOf({ world, bridge, delegated: { options } }: Attaching) {
  if (options.vlan === 0 || !options.isGateway) return undefined;
  return ensureVlanGateway(world, options, bridge);
}
