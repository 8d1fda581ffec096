import { chosen } from '../attributes.ts';
import { type MessageCodec, messageCodec, type Request } from '../message.ts';
import { nested } from '../nested.ts';
import { u16 } from '../scalar.ts';
import { string } from '../text.ts';
import { getLink, type LinkMessage, type LinkWrite } from './link.ts';
import { ifinfomsg, linkBasics } from './link-basics.ts';
import { vxlan } from './link-kind.ts';

const passOver = { keepsUnknown: false };
const { IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER, IFLA_GROUP, IFLA_LINK_NETNSID } =
  linkBasics;
/** Of a bridge, which has some fifty settings. */
const bridge = nested({ IFLA_BR_VLAN_DEFAULT_PVID: [39, u16] }, 0, passOver);

/**
 * RTM_NEWLINK and RTM_DELLINK as an announcement, without what nobody looks at. A pod's veth is announced many times, each time
 * with a hundred attributes of its port and its statistics: reading them all was most of what a pod costs the daemon.
 */
export const linkAnnouncement = messageCodec(
  ifinfomsg,
  {
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_MTU,
    IFLA_LINK,
    IFLA_MASTER,
    IFLA_GROUP,
    IFLA_LINK_NETNSID,
    IFLA_LINKINFO: [
      18,
      nested(
        {
          IFLA_INFO_KIND: [1, string],
          IFLA_INFO_DATA: [2, chosen<object>('IFLA_INFO_KIND', { vxlan, bridge })],
        },
        0,
        passOver,
      ),
    ],
  },
  passOver,
) as MessageCodec<LinkMessage, LinkWrite>;

/** One link by ifi_index or IFLA_IFNAME, read like an announcement. */
export const glanceAtLink = (by: LinkWrite): Request<LinkMessage> => ({
  ...getLink(by),
  codec: linkAnnouncement,
});
