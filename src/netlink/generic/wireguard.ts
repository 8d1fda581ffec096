import { address, binary } from '../binary.ts';
import { messageCodec, type ReadOf, type Request, request, type WriteOf } from '../message.ts';
import { nested } from '../nested.ts';
import { repeated } from '../attributes.ts';
import * as k from '../constants.ts';
import { u16, u32, u64, u8 } from '../scalar.ts';
import { struct } from '../struct.ts';
import { string } from '../text.ts';
import { genlmsghdr } from './family.ts';
import { socketAddress } from './socket-address.ts';

const allowedIp = nested(
  { WGALLOWEDIP_A_FAMILY: [1, u16], WGALLOWEDIP_A_IPADDR: [2, address], WGALLOWEDIP_A_CIDR_MASK: [3, u8] },
  k.NLA_F_NESTED,
);

/** struct __kernel_timespec. */
const timespec = struct({ tv_sec: u64, tv_nsec: u64 });

/** Keys have 32 bytes. */
const peer = nested(
  {
    WGPEER_A_PUBLIC_KEY: [1, binary],
    WGPEER_A_PRESHARED_KEY: [2, binary],
    WGPEER_A_FLAGS: [3, u32],
    WGPEER_A_ENDPOINT: [4, socketAddress],
    WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL: [5, u16],
    WGPEER_A_LAST_HANDSHAKE_TIME: [6, timespec],
    WGPEER_A_RX_BYTES: [7, u64],
    WGPEER_A_TX_BYTES: [8, u64],
    WGPEER_A_ALLOWEDIPS: [9, nested({ WGALLOWEDIP: [0, repeated(allowedIp)] }, k.NLA_F_NESTED)],
    WGPEER_A_PROTOCOL_VERSION: [10, u32],
  },
  k.NLA_F_NESTED,
);

/** WG_CMD_GET_DEVICE and WG_CMD_SET_DEVICE (linux/wireguard.h). A device with many peers comes in several messages. */
export const wireguardDevice = messageCodec(genlmsghdr, {
  WGDEVICE_A_IFINDEX: [1, u32],
  WGDEVICE_A_IFNAME: [2, string],
  WGDEVICE_A_PRIVATE_KEY: [3, binary],
  WGDEVICE_A_PUBLIC_KEY: [4, binary],
  WGDEVICE_A_FLAGS: [5, u32],
  WGDEVICE_A_LISTEN_PORT: [6, u16],
  WGDEVICE_A_FWMARK: [7, u32],
  WGDEVICE_A_PEERS: [8, nested({ WGPEER: [0, repeated(peer)] }, k.NLA_F_NESTED)],
});

export type WireguardDeviceMessage = ReadOf<typeof wireguardDevice>;
export type WireguardDeviceWrite = WriteOf<typeof wireguardDevice>;

/** One device by its name, to be dumped. `family` is the number that getFamily('wireguard') tells. */
export function getWireguardDevice(family: number, name: string): Request<WireguardDeviceMessage> {
  return request('WG_CMD_GET_DEVICE', family, wireguardDevice, {
    cmd: k.WG_CMD_GET_DEVICE,
    version: 1,
    WGDEVICE_A_IFNAME: name,
  });
}

/** Sets what is named; peers are added or changed unless flags say otherwise. */
export function setWireguardDevice(
  family: number,
  value: WireguardDeviceWrite,
): Request<WireguardDeviceMessage> {
  return request('WG_CMD_SET_DEVICE', family, wireguardDevice, {
    cmd: k.WG_CMD_SET_DEVICE,
    version: 1,
    ...value,
  });
}
