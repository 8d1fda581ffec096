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
import type { Sysctl } from '../attachment-sysctls.ts';
import { hasVlans } from '../attachment-vlan.ts';
import type { Delegated } from '../delegated.ts';
import { settleAddresses } from '../duplicate-address.ts';
import { apply, findLink, observeBridge, type Session, StepError } from '../link.ts';
import type { AttachmentRecord, Records } from '../record.ts';
import { explainStep, explainSysctl, vlansAreOff } from '../refusal.ts';
import { ensureVlanGateway } from '../vlan-gateway.ts';
import { type Caller, checkCaller, type World } from '../world.ts';

export interface Attaching {
  world: World;
  caller: Caller;
  delegated: Delegated;
  records: Records;
  pod: { fd: number; session: Session };
  record: AttachmentRecord;
  bridge: BridgeState;
  ips: readonly PlannedAddress[];
}

/** What is there now, as the result names it. */
export interface Attached {
  bridge: { name: string; mac: Mac };
  host: { name: string; mac: Mac };
  /** With a VLAN. */
  vlanGateway?: { name: string; mac: Mac } | undefined;
  mac: Mac;
  plan: AttachmentPlan;
}

/** Random names for the node's end, until one is free. */
const nameAttempts = 10;

/**
 * The part of an ADD that changes the kernel. The record is written before the link is made and names it, so
 * that whoever is killed in between leaves nothing that cannot be found. Throws an Error.
 */
export async function attach(attaching: Attaching): Promise<Attached> {
  const { world, caller, delegated, pod, record, bridge } = attaching;
  const { options } = delegated;
  const vlanGateway = gatewayOf(attaching);
  const mac = delegated.mac ?? randomMac(world.random(6));
  const plan = createLinks(attaching, vlanGateway, mac);
  joinVlans(attaching, plan);
  await writeSysctls(attaching, plan.sysctls);
  world.adoptedBridges.add(bridge.ifindex);
  checkCaller(caller);
  const ifindex = pod.session.indexOf(record.ifname);
  if (ifindex === undefined) throw new Error(`the link ${record.ifname} vanished while it was set up`);
  explained(() => apply(pod.session, plan.pod(ifindex)));
  if (options.enabledad) await settleAddresses(pod.session, ifindex, world.clock);
  checkCaller(caller);
  return {
    bridge: { name: options.bridge, mac: bridge.mac },
    host: { name: record.hostLink, mac: record.hostMac },
    vlanGateway: vlanGateway && { name: vlanGateway.name, mac: vlanGateway.mac },
    mac,
    plan,
  };
}

/** Makes the bridge where there is none. Throws an Error when the name is another link's, or VLANs cannot be had. */
export function ensureBridge(world: World, options: BridgeOptions): BridgeState {
  const observe = () => observeBridge(world.host, options.bridge, world.adoptedBridges);
  let bridge = observe();
  if (bridge === undefined) {
    explained(() => apply(world.host, [bridgeStep(options, randomMac(world.random(6)))]));
    bridge = observe();
  }
  if (bridge === undefined) throw new Error(`the bridge ${options.bridge} vanished while it was set up`);
  if (hasVlans(options) && bridge.defaultPvid === undefined) {
    throw new Error(`the delegate asks for a VLAN, and bridges of this kernel know none; ${vlansAreOff}`);
  }
  return bridge;
}

function gatewayOf({ world, bridge, delegated: { options } }: Attaching) {
  if (options.vlan === 0 || !(options.isGateway || options.isDefaultGateway)) return undefined;
  let gateway: ReturnType<typeof ensureVlanGateway> | undefined;
  explained(() => (gateway = ensureVlanGateway(world, options, bridge)));
  return gateway;
}

function joinVlans({ world, record }: Attaching, plan: AttachmentPlan): void {
  if (plan.port(0).length === 0) return;
  const ifindex = world.host.indexOf(record.hostLink);
  if (ifindex === undefined) throw new Error(`the link ${record.hostLink} vanished while it was set up`);
  explained(() => apply(world.host, plan.port(ifindex)));
}

/** With another name for the node's end when that name is taken. */
function createLinks(attaching: Attaching, vlanGateway: GatewayLink | undefined, mac: Mac): AttachmentPlan {
  const { world, delegated, records, record, bridge, pod, ips } = attaching;
  for (let attempt = 1; ; attempt++) {
    record.hostLink = `veth${Buffer.from(world.random(4)).toString('hex')}`;
    const plan = planAttachment({
      options: delegated.options,
      bridge,
      gateway: vlanGateway ?? { name: delegated.options.bridge, ...bridge },
      ips,
      routes: delegated.ipam.routes,
      pod: { ifname: record.ifname, mac, netnsFd: pod.fd },
      host: { name: record.hostLink, mac: record.hostMac },
      forwarding: {
        4: isOn(world, 'net/ipv4/ip_forward'),
        6: isOn(world, 'net/ipv6/conf/all/forwarding'),
      },
      ipv6RouteMtu: world.ipv6RouteMtu,
    });
    records.write(record);
    try {
      explained(() => apply(world.host, plan.host));
      return plan;
    } catch (error) {
      const taken = findLink(world.host, { IFLA_IFNAME: record.hostLink });
      const clash = taken !== undefined && taken.IFLA_ADDRESS !== record.hostMac;
      if (clash && attempt < nameAttempts) continue;
      // What bears that name is another's: the way back must not take it for ours.
      if (clash) record.hostLink = '';
      throw error;
    }
  }
}

const isOn = (world: World, sysctl: string): boolean =>
  world.files.read(`/proc/sys/${sysctl}`)?.trim() === '1';

async function writeSysctls({ caller }: Attaching, sysctls: readonly Sysctl[]): Promise<void> {
  const outcomes = await caller.writeSysctls(sysctls);
  for (const [i, sysctl] of sysctls.entries()) {
    const errno = outcomes[i] ?? 0;
    if (errno !== 0 && sysctl.required) throw explainSysctl(sysctl, errno);
  }
}

/** What the kernel refused, in words. */
function explained(send: () => void): void {
  try {
    send();
  } catch (error) {
    throw error instanceof StepError ? explainStep(error) : error;
  }
}
