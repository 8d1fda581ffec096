import { type Mac, randomMac } from '../../net/mac.ts';
import * as k from '../../netlink/constants.ts';
import { delLink } from '../../netlink/route/link.ts';
import type { BridgeOptions, BridgeState, GatewayLink } from './attachment.ts';
import { vlanSteps } from './vlan.ts';
import { addressesOf, apply, findLink, type Session } from './link.ts';
import type { World } from '../world.ts';

/**
 * With a VLAN the gateways are not on the bridge, which is in the default one, but on a veth whose other end is a port of
 * that VLAN: `cni0.100`. It stays, like the bridge. Throws an Error.
 */
export function ensureVlanGateway(
  { host, random }: Pick<World, 'host' | 'random'>,
  options: BridgeOptions,
  bridge: BridgeState,
): GatewayLink {
  const name = `${options.bridge}.${options.vlan}`;
  if (Buffer.byteLength(name) > 15) {
    throw new Error(
      `the VLAN's gateway would be the link "${name}", which is too long a name: name the bridge shorter`,
    );
  }
  const found = observe(host, name);
  if (found !== undefined) return found;
  const port = `veth${Buffer.from(random(4)).toString('hex')}`;
  apply(host, [
    {
      message: 'newLink',
      flags: k.NLM_F_CREATE | k.NLM_F_EXCL,
      value: {
        ifi_flags: k.IFF_UP,
        ifi_change: k.IFF_UP,
        IFLA_IFNAME: port,
        IFLA_ADDRESS: randomMac(random(6)),
        IFLA_MASTER: bridge.ifindex,
        ...(bridge.mtu > 0 && { IFLA_MTU: bridge.mtu }),
        IFLA_LINKINFO: {
          IFLA_INFO_KIND: 'veth',
          IFLA_INFO_DATA: {
            VETH_INFO_PEER: {
              IFLA_IFNAME: name,
              IFLA_ADDRESS: randomMac(random(6)),
              ...(bridge.mtu > 0 && { IFLA_MTU: bridge.mtu }),
            },
          },
        },
      },
    },
  ]);
  return joinVlan(host, options, bridge, { name, port });
}

/** Whatever goes wrong takes the pair away again. */
function joinVlan(
  host: Session,
  { vlan, preserveDefaultVlan }: BridgeOptions,
  bridge: BridgeState,
  { name, port }: { name: string; port: string },
): GatewayLink {
  const ifi_index = findLink(host, { IFLA_IFNAME: port })?.ifi_index ?? 0;
  try {
    apply(host, [
      ...vlanSteps({ vlan, vlanTrunk: [], preserveDefaultVlan }, bridge, ifi_index),
      { message: 'setLink', value: { IFLA_IFNAME: name, ifi_flags: k.IFF_UP, ifi_change: k.IFF_UP } },
    ]);
    const made = observe(host, name);
    if (made !== undefined) return made;
    throw new Error(`the link ${name} vanished while it was set up`);
  } catch (error) {
    host.batch([delLink({ ifi_index })]);
    throw error;
  }
}

function observe(host: Session, name: string): GatewayLink | undefined {
  const link = findLink(host, { IFLA_IFNAME: name });
  if (link === undefined) return undefined;
  const { ifi_index: ifindex, IFLA_ADDRESS } = link;
  return { name, ifindex, mac: IFLA_ADDRESS as Mac, addresses: addressesOf(host, ifindex) };
}
