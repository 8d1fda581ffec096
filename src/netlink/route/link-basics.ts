import { hardwareAddress } from '../binary.ts';
import { i32, u16, u32, u8 } from '../scalar.ts';
import { struct } from '../struct.ts';
import { string } from '../text.ts';

/** struct ifinfomsg (linux/rtnetlink.h); __ifi_pad comes by alignment. */
export const ifinfomsg = struct({
  ifi_family: u8,
  ifi_type: u16,
  ifi_index: i32,
  ifi_flags: u32,
  ifi_change: u32,
});

/** What a link of any kind has, without what depends on its kind (linux/if_link.h). */
export const linkBasics = {
  IFLA_ADDRESS: [1, hardwareAddress],
  IFLA_BROADCAST: [2, hardwareAddress],
  IFLA_IFNAME: [3, string],
  IFLA_MTU: [4, u32],
  IFLA_LINK: [5, u32],
  IFLA_QDISC: [6, string],
  IFLA_MASTER: [10, u32],
  IFLA_TXQLEN: [13, u32],
  IFLA_OPERSTATE: [16, u8],
  IFLA_LINKMODE: [17, u8],
  IFLA_NET_NS_PID: [19, u32],
  IFLA_IFALIAS: [20, string],
  IFLA_NUM_VF: [21, u32],
  IFLA_GROUP: [27, u32],
  IFLA_NET_NS_FD: [28, u32],
  IFLA_EXT_MASK: [29, u32],
  IFLA_PROMISCUITY: [30, u32],
  IFLA_NUM_TX_QUEUES: [31, u32],
  IFLA_NUM_RX_QUEUES: [32, u32],
  IFLA_CARRIER: [33, u8],
  IFLA_CARRIER_CHANGES: [35, u32],
  IFLA_LINK_NETNSID: [37, i32],
  IFLA_PROTO_DOWN: [39, u8],
  IFLA_GSO_MAX_SEGS: [40, u32],
  IFLA_GSO_MAX_SIZE: [41, u32],
  IFLA_EVENT: [44, u32],
  IFLA_NEW_NETNSID: [45, i32],
  IFLA_TARGET_NETNSID: [46, i32],
  IFLA_CARRIER_UP_COUNT: [47, u32],
  IFLA_CARRIER_DOWN_COUNT: [48, u32],
  IFLA_NEW_IFINDEX: [49, i32],
  IFLA_MIN_MTU: [50, u32],
  IFLA_MAX_MTU: [51, u32],
  IFLA_PERM_ADDRESS: [54, hardwareAddress],
  IFLA_PARENT_DEV_NAME: [56, string],
  IFLA_PARENT_DEV_BUS_NAME: [57, string],
  IFLA_GRO_MAX_SIZE: [58, u32],
  IFLA_TSO_MAX_SIZE: [59, u32],
  IFLA_TSO_MAX_SEGS: [60, u32],
  IFLA_ALLMULTI: [61, u32],
} as const;
