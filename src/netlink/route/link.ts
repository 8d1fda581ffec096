import { type AttributesOf, chosen, repeated } from '../attributes.ts';
import { binary } from '../binary.ts';
import * as k from '../constants.ts';
import { messageCodec, type ReadOf, type Request, request, type WriteOf } from '../message.ts';
import { nested } from '../nested.ts';
import type { Payload, ValueOf } from '../payload.ts';
import { u16, u32, u8 } from '../scalar.ts';
import { struct } from '../struct.ts';
import { string } from '../text.ts';
import { ifinfomsg, linkBasics } from './link-basics.ts';
import { linkInfo } from './link-info.ts';
import { type BridgePort, bridgePortFields } from './link-kind.ts';

/** IFLA_AF_SPEC of AF_BRIDGE messages (linux/if_bridge.h); of all others: one nest for each address family. */
const bridgeFields = {
  IFLA_BRIDGE_FLAGS: [0, u16],
  IFLA_BRIDGE_MODE: [1, u16],
  IFLA_BRIDGE_VLAN_INFO: [2, repeated(struct({ flags: u16, vid: u16 }))],
} as const;
/** Some settings, in a nest, are what the kernel takes; what it tells is an array of them all, which nobody here reads. */
const inetSettings = nested({ IPV4_DEVCONF_ARP_NOTIFY: [22, u32] });
const inetConf: Payload<Uint8Array | ValueOf<typeof inetSettings>> = {
  ...binary,
  encode: (writer, value) =>
    value instanceof Uint8Array ? writer.raw(value) : inetSettings.encode(writer, value),
};
const familyFields = {
  AF_INET: [2, nested({ IFLA_INET_CONF: [1, inetConf] })],
  AF_INET6: [
    10,
    nested({
      IFLA_INET6_FLAGS: [1, u32],
      IFLA_INET6_CONF: [2, binary],
      IFLA_INET6_STATS: [3, binary],
      IFLA_INET6_CACHEINFO: [5, binary],
      IFLA_INET6_ICMP6STATS: [6, binary],
      IFLA_INET6_TOKEN: [7, binary],
      IFLA_INET6_ADDR_GEN_MODE: [8, u8],
      IFLA_INET6_RA_MTU: [9, u32],
    }),
  ],
} as const;
type FamilySpecific = AttributesOf<typeof bridgeFields> & AttributesOf<typeof familyFields>;

const onBridge = String(k.AF_BRIDGE);

/** RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK. */
export const link = messageCodec(ifinfomsg, {
  ...linkBasics,
  IFLA_PROTINFO: [
    12,
    chosen<BridgePort>('ifi_family', { [onBridge]: nested(bridgePortFields, k.NLA_F_NESTED) }),
  ],
  IFLA_LINKINFO: [18, linkInfo],
  IFLA_AF_SPEC: [
    26,
    chosen<FamilySpecific>('ifi_family', { [onBridge]: nested(bridgeFields) }, nested(familyFields)),
  ],
  IFLA_PROP_LIST: [52, nested({ IFLA_ALT_IFNAME: [53, repeated(string)] }, k.NLA_F_NESTED)],
});

export type LinkMessage = ReadOf<typeof link>;
export type LinkWrite = WriteOf<typeof link>;

/** Creates a link, or changes it where `flags` do not say NLM_F_EXCL. */
export function newLink(
  value: LinkWrite,
  flags: number = k.NLM_F_CREATE | k.NLM_F_EXCL,
): Request<LinkMessage> {
  return request('RTM_NEWLINK', k.RTM_NEWLINK, link, value, flags);
}

/** Changes a link that exists: IFF_UP with ifi_change, MTU, master, and with AF_BRIDGE port and VLANs. */
export function setLink(value: LinkWrite): Request<LinkMessage> {
  return request('RTM_SETLINK', k.RTM_SETLINK, link, value);
}

/** One link by ifi_index or IFLA_IFNAME as a request; all as a dump. RTEXT_FILTER_SKIP_STATS leaves out the counters. */
export function getLink(value: LinkWrite = {}): Request<LinkMessage> {
  return request('RTM_GETLINK', k.RTM_GETLINK, link, {
    IFLA_EXT_MASK: k.RTEXT_FILTER_SKIP_STATS,
    ...value,
  });
}

/** Removes one link by ifi_index or IFLA_IFNAME, or all of an IFLA_GROUP. With AF_BRIDGE: VLANs of a port. */
export function delLink(value: LinkWrite): Request<LinkMessage> {
  return request('RTM_DELLINK', k.RTM_DELLINK, link, value);
}
