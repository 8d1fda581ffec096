import { address } from '../binary.ts';
import * as k from '../constants.ts';
import { messageCodec, type ReadOf, type Request, request, type WriteOf } from '../message.ts';
import { i32, u32, u8 } from '../scalar.ts';
import { struct } from '../struct.ts';
import { string } from '../text.ts';

/** RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR: struct ifaddrmsg (linux/if_addr.h). Lifetimes are in seconds, 2^32-1 is for ever. */
export const addressMessage = messageCodec(
  struct({ ifa_family: u8, ifa_prefixlen: u8, ifa_flags: u8, ifa_scope: u8, ifa_index: u32 }),
  {
    IFA_ADDRESS: [1, address],
    IFA_LOCAL: [2, address],
    IFA_LABEL: [3, string],
    IFA_BROADCAST: [4, address],
    IFA_ANYCAST: [5, address],
    IFA_CACHEINFO: [6, struct({ ifa_prefered: u32, ifa_valid: u32, cstamp: u32, tstamp: u32 })],
    IFA_MULTICAST: [7, address],
    IFA_FLAGS: [8, u32],
    IFA_RT_PRIORITY: [9, u32],
    IFA_TARGET_NETNSID: [10, i32],
    IFA_PROTO: [11, u8],
  },
);

export type AddressMessage = ReadOf<typeof addressMessage>;
export type AddressWrite = WriteOf<typeof addressMessage>;

/** Adds an address; IFA_FLAGS IFA_F_NODAD makes an IPv6 address usable at once. NLM_F_REPLACE changes lifetimes and flags. */
export function newAddress(
  value: AddressWrite,
  flags: number = k.NLM_F_CREATE | k.NLM_F_EXCL,
): Request<AddressMessage> {
  return request('RTM_NEWADDR', k.RTM_NEWADDR, addressMessage, value, flags);
}

export function delAddress(value: AddressWrite): Request<AddressMessage> {
  return request('RTM_DELADDR', k.RTM_DELADDR, addressMessage, value);
}

/** To be dumped: the addresses of a family, of one link with ifa_index (the kernel filters). */
export function getAddresses(value: AddressWrite = {}): Request<AddressMessage> {
  return request('RTM_GETADDR', k.RTM_GETADDR, addressMessage, value);
}
