import { type Mac, randomMac } from '../../net/mac.ts';
import {
  type AttachmentPlan,
  type BridgeOptions,
  type BridgeState,
  type GatewayLink,
  type PlannedAddress,
  planAttachment,
} from '../attachment.ts';
import { bridgeStep } from '../attachment-bridge.ts';
import { hasVlans } from '../attachment-vlan.ts';
import type { Delegated } from '../delegated.ts';
import { settleAddresses } from '../duplicate-address.ts';
import { apply, findLink, type Session, StepError } from '../link.ts';
import type { AttachmentRecord, Records } from '../record.ts';
import { vlansAreOff } from '../refusal.ts';
import { tasksOf, vanished } from '../task.ts';
import { ensureVlanGateway } from '../vlan-gateway.ts';
import { type Caller, checkCaller, type World } from '../world.ts';

export interface Attaching {
  world: World;
  caller: Caller;
  delegated: Delegated;
  records: Records;
  pod: { fdOfCaller: number; session: Session };
  record: AttachmentRecord;
  bridge: BridgeState;
  ips: readonly PlannedAddress[];
}

/** What is to be there, as the result names it. */
export interface Attachment {
  bridge: { name: string; mac: Mac };
  host: { name: string; mac: Mac };
  /** With a VLAN. */
  vlanGateway?: { name: string; mac: Mac } | undefined;
  pod: { ifname: string; mac: Mac };
  plan: AttachmentPlan;
}

/** Random names for the node's end, until one is free. */
const nameAttempts = 10;

/**
 * The part of an ADD that changes the kernel; answers the result, which `describe` makes. The record is written before
 * the link is made and names it, so that whoever is killed in between leaves nothing that cannot be found. Rejects with an
 * Error.
 */
export async function attach(
  attaching: Attaching,
  describe: (attachment: Attachment) => string,
): Promise<string> {
  const { world, delegated, records, record } = attaching;
  const vlanGateway = gatewayOf(attaching);
  const mac = delegated.mac ?? randomMac(world.random(6));
  for (let attempt = 1; ; attempt++) {
    record.hostLink = `veth${Buffer.from(world.random(4)).toString('hex')}`;
    const attachment = planned(attaching, vlanGateway, mac);
    const result = describe(attachment);
    records.write(record);
    try {
      await perform(attaching, attachment, result);
      return result;
    } catch (error) {
      if (!isNameTaken(error)) throw error;
      const taken = findLink(world.host, { IFLA_IFNAME: record.hostLink });
      const clash = taken !== undefined && taken.IFLA_ADDRESS !== record.hostMac;
      if (clash && attempt < nameAttempts) continue;
      // What bears that name is another's: the way back must not take it for ours.
      if (clash) record.hostLink = '';
      throw error;
    }
  }
}

/** Only what is refused when it is made can have a name that is another's. */
const isNameTaken = (error: unknown): boolean =>
  error instanceof StepError && error.step.message === 'newLink' && error.error.code === 'EEXIST';

function planned(attaching: Attaching, vlanGateway: GatewayLink | undefined, mac: Mac): Attachment {
  const { world, delegated, record, bridge, pod, ips } = attaching;
  const name = delegated.options.bridge;
  const host = { name: record.hostLink, mac: record.hostMac };
  const plan = planAttachment({
    options: delegated.options,
    bridge,
    gateway: vlanGateway ?? { name, ...bridge },
    ips,
    routes: delegated.ipam.routes,
    pod: { ifname: record.ifname, mac, netnsFd: pod.fdOfCaller },
    host,
    forwarding: world.forwarding(),
    ipv6RouteMtu: world.ipv6RouteMtu,
  });
  return {
    bridge: { name, mac: bridge.mac },
    host,
    vlanGateway: vlanGateway && { name: vlanGateway.name, mac: vlanGateway.mac },
    pod: { ifname: record.ifname, mac },
    plan,
  };
}

/** Duplicate address detection is what remains after the tasks; where it is off, the caller prints the result. */
async function perform(
  { world, caller, delegated, pod: { session } }: Attaching,
  { plan, host, pod }: Attachment,
  result: string,
): Promise<void> {
  const tasks = tasksOf(plan, { host, pod });
  if (!delegated.options.enabledad) return caller.perform(tasks, result);
  await caller.perform(tasks);
  const ifindex = session.indexOf(pod.ifname);
  if (ifindex === undefined) throw vanished(pod.ifname);
  await settleAddresses(session, ifindex, world.clock);
  checkCaller(caller);
}

/** Makes the bridge where there is none. Throws an Error when the name is another link's, or VLANs cannot be had. */
export function ensureBridge(world: World, options: BridgeOptions): BridgeState {
  let bridge = world.observeBridge(options.bridge);
  if (bridge === undefined) {
    apply(world.host, [bridgeStep(options, randomMac(world.random(6)))]);
    bridge = world.observeBridge(options.bridge);
  }
  if (bridge === undefined) throw new Error(`the bridge ${options.bridge} vanished while it was set up`);
  if (hasVlans(options) && bridge.defaultPvid === undefined) {
    throw new Error(`the delegate asks for a VLAN, and bridges of this kernel know none; ${vlansAreOff}`);
  }
  return bridge;
}

function gatewayOf({ world, bridge, delegated: { options } }: Attaching) {
  if (options.vlan === 0 || !(options.isGateway || options.isDefaultGateway)) return undefined;
  return ensureVlanGateway(world, options, bridge);
}
