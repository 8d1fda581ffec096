import * as k from '../../netlink/constants.ts';
import type { LinkMessage } from '../../netlink/route/link.ts';
import type { BridgeOptions } from './attachment.ts';
import { CniError, cniCodes } from '../error.ts';
import { findLink, type Session } from './link.ts';
import type { Result } from '../result.ts';

/** Looks at bridge, node's end and pod's end; answers the pod's end. Throws a CniError that says what is broken. */
export function checkLinks(
  host: Session,
  pod: Session,
  ifname: string,
  options: BridgeOptions,
  previous: Result,
): LinkMessage {
  const bridge = checkBridge(host, options);
  const link = findLink(pod, { IFLA_IFNAME: ifname });
  if (link === undefined) throw broken(`Interface ${ifname} is gone from the pod`);
  if (link.IFLA_LINKINFO?.IFLA_INFO_KIND !== 'veth')
    throw broken(`Interface ${ifname} in the pod is no veth`);
  if (!isUp(link)) throw broken(`Interface ${ifname} in the pod is down`);
  // tuning writes the MAC that it gives into the result.
  const written = previous.interfaces.find(
    ({ name, sandbox }) => name === ifname && sandbox !== undefined,
  )?.mac;
  if (written !== undefined && written.toLowerCase() !== link.IFLA_ADDRESS) {
    throw broken(
      `Interface ${ifname} Mac ${written} doesn't match container Mac: ${String(link.IFLA_ADDRESS)}`,
    );
  }
  checkPort(peerOnHost(host, link), bridge, options, previous);
  return link;
}

function checkBridge(host: Session, { bridge, promiscMode }: BridgeOptions): LinkMessage {
  const link = findLink(host, { IFLA_IFNAME: bridge });
  if (link === undefined) throw broken(`Bridge interface ${bridge} is gone`);
  if (link.IFLA_LINKINFO?.IFLA_INFO_KIND !== 'bridge') throw broken(`Interface ${bridge} is no bridge`);
  if (!isUp(link)) throw broken(`Bridge interface ${bridge} is down`);
  const promiscuous = (link.ifi_flags & k.IFF_PROMISC) !== 0;
  if (promiscMode && !promiscuous) throw broken(`Bridge interface ${bridge} is not promiscuous`);
  return link;
}

/**
 * The node's end of the pod's link: the veth whose peer it is, and which is its peer. So the pod says, which can make links with
 * numbers that it chooses: enough to look at, and no reason to remove anything.
 */
function peerOnHost(host: Session, podLink: LinkMessage): LinkMessage | undefined {
  if (podLink.IFLA_LINK === undefined) return undefined;
  const peer = findLink(host, { ifi_index: podLink.IFLA_LINK });
  const mutual = peer?.IFLA_LINKINFO?.IFLA_INFO_KIND === 'veth' && peer.IFLA_LINK === podLink.ifi_index;
  // Without a namespace ID the other end would be in this very namespace.
  return mutual && peer.IFLA_LINK_NETNSID !== undefined ? peer : undefined;
}

/** Name or MAC of the node's end may be another: that is nobody's business here. */
function checkPort(
  peer: LinkMessage | undefined,
  bridge: LinkMessage,
  options: BridgeOptions,
  { interfaces }: Result,
): void {
  const name = peer?.IFLA_IFNAME;
  const isThis = (each: Result['interfaces'][number]) =>
    each.name === name || each.mac?.toLowerCase() === peer?.IFLA_ADDRESS;
  const isListed =
    interfaces.length === 0 || interfaces.some((each) => each.sandbox === undefined && isThis(each));
  if (peer === undefined || !isListed) {
    throw broken(`CNI veth created for bridge ${options.bridge} was not found`);
  }
  if (!isUp(peer)) throw broken(`Interface ${name} on the node is down`);
  if (peer.IFLA_MASTER !== bridge.ifi_index)
    throw broken(`Interface ${name} is no port of the bridge ${options.bridge}`);
  const port = peer.IFLA_LINKINFO?.IFLA_INFO_SLAVE_DATA;
  const { IFLA_BRPORT_MODE: hairpin, IFLA_BRPORT_ISOLATED: isolated } = port ?? {};
  if (options.hairpinMode && hairpin === 0)
    throw broken(`Port ${name} of the bridge has lost its hairpin mode`);
  if (options.portIsolation && isolated === 0)
    throw broken(`Port ${name} of the bridge has lost its isolation`);
}

const isUp = ({ ifi_flags }: LinkMessage): boolean => (ifi_flags & k.IFF_UP) !== 0;

const broken = (msg: string): CniError =>
  new CniError(cniCodes.brokenAttachment, msg, 'delete the pod: a new one is whole');
