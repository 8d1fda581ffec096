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
import { apply, findLink, observeBridge, type Session } from '../link.ts';
import type { PodSetup } from '../pod-setup.ts';
import type { AttachmentRecord, Records } from '../record.ts';
import { vlansAreOff } from '../refusal.ts';
import { ensureVlanGateway } from '../vlan-gateway.ts';
import type { World } from '../world.ts';

export interface Attaching {
  world: World;
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
  /** The pod's end. */
  ifindex: number;
  /** What remains to be done in the pod. */
  setup: PodSetup;
}

/** Random names for the node's end, until one is free. */
const nameAttempts = 10;

/**
 * The part of an ADD that makes links. The record is written before the link is made and names it, so
 * that whoever is killed in between leaves nothing that cannot be found. Throws an Error.
 */
export function attach(attaching: Attaching): Attached {
  const { world, delegated, pod, record, bridge } = attaching;
  const vlanGateway = gatewayOf(attaching);
  const mac = delegated.mac ?? randomMac(world.random(6));
  const plan = createLinks(attaching, vlanGateway, mac);
  joinVlans(attaching, plan);
  const ifindex = pod.session.indexOf(record.ifname);
  if (ifindex === undefined) throw new Error(`the link ${record.ifname} vanished while it was set up`);
  return {
    bridge: { name: delegated.options.bridge, mac: bridge.mac },
    host: { name: record.hostLink, mac: record.hostMac },
    vlanGateway: vlanGateway && { name: vlanGateway.name, mac: vlanGateway.mac },
    mac,
    plan,
    ifindex,
    setup: { sysctls: plan.sysctls, steps: plan.pod(ifindex) },
  };
}

/** Makes the bridge where there is none. Throws an Error when the name is another link's, or VLANs cannot be had. */
export function ensureBridge(world: World, options: BridgeOptions): BridgeState {
  const observe = () => observeBridge(world.host, options.bridge, world.adoptedBridges);
  let bridge = observe();
  if (bridge === undefined) {
    apply(world.host, [bridgeStep(options, randomMac(world.random(6)))]);
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
  return ensureVlanGateway(world, options, bridge);
}

function joinVlans({ world, record }: Attaching, plan: AttachmentPlan): void {
  if (plan.port(0).length === 0) return;
  const ifindex = world.host.indexOf(record.hostLink);
  if (ifindex === undefined) throw new Error(`the link ${record.hostLink} vanished while it was set up`);
  apply(world.host, plan.port(ifindex));
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
      ipv6RouteMtu: world.ipv6RouteMtu,
    });
    records.write(record);
    try {
      apply(world.host, plan.host);
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
