import { networkOf, prefixAddress, prefixOf } from '../../src/net/prefix.ts';
import * as k from '../../src/netlink/constants.ts';
import { type AddressMessage, addressMessage } from '../../src/netlink/route/address.ts';
import type { FakeKernel } from './fake-kernel.ts';
import { Refusal } from './refusal.ts';

const ENODEV = 19;
const EEXIST = 17;
const EINVAL = 22;
const EADDRNOTAVAIL = 99;

export function newAddress(kernel: FakeKernel, value: AddressMessage, flags: number): void {
  if (!kernel.links.has(value.ifa_index)) throw new Refusal(ENODEV);
  const local = value.IFA_LOCAL ?? value.IFA_ADDRESS;
  if (local === undefined) throw new Refusal(EINVAL);
  const existing = kernel.addresses.find((other) => same(other, value));
  if (existing !== undefined && (flags & k.NLM_F_REPLACE) === 0) throw new Refusal(EEXIST);
  const made: AddressMessage = {
    ...value,
    IFA_ADDRESS: value.IFA_ADDRESS ?? local,
    IFA_LOCAL: value.ifa_family === k.AF_INET ? local : undefined,
    IFA_FLAGS: ((value.IFA_FLAGS ?? 0) & ~k.IFA_F_TENTATIVE) | k.IFA_F_PERMANENT,
    IFA_CACHEINFO: { ifa_prefered: 0xffff_ffff, ifa_valid: 0xffff_ffff, cstamp: 0, tstamp: 0 },
  };
  kernel.addresses = [...kernel.addresses.filter((other) => other !== existing), made];
  connect(kernel, made);
  kernel.announce('NEW', 'ADDR', addressMessage, made);
}

export function delAddress(kernel: FakeKernel, value: AddressMessage): void {
  if (!kernel.links.has(value.ifa_index)) throw new Refusal(ENODEV);
  const existing = kernel.addresses.find((other) => same(other, value));
  if (existing === undefined) throw new Refusal(EADDRNOTAVAIL);
  kernel.addresses = kernel.addresses.filter((other) => other !== existing);
  const local = localOf(existing);
  kernel.routes = kernel.routes.filter(
    (route) => route.rtm_protocol !== k.RTPROT_KERNEL || route.RTA_PREFSRC !== local,
  );
  kernel.announce('DEL', 'ADDR', addressMessage, existing);
}

export function dumpAddresses(
  kernel: FakeKernel,
  { ifa_family, ifa_index }: AddressMessage,
): AddressMessage[] {
  return kernel.addresses.filter(
    (address) =>
      (ifa_family === k.AF_UNSPEC || address.ifa_family === ifa_family) &&
      (ifa_index === 0 || address.ifa_index === ifa_index),
  );
}

/** The route to the address's own network that the kernel adds while the link is up. */
export function connect(kernel: FakeKernel, address: AddressMessage): void {
  const { ifa_family, ifa_prefixlen, ifa_index, IFA_FLAGS = 0 } = address;
  const local = localOf(address);
  const up = ((kernel.links.get(ifa_index)?.ifi_flags ?? 0) & k.IFF_UP) !== 0;
  const single = ifa_prefixlen === (ifa_family === k.AF_INET ? 32 : 128);
  if (!up || single || local === undefined || (IFA_FLAGS & k.IFA_F_NOPREFIXROUTE) !== 0) return;
  kernel.routes.push({
    rtm_family: ifa_family,
    rtm_dst_len: ifa_prefixlen,
    rtm_src_len: 0,
    rtm_tos: 0,
    rtm_table: k.RT_TABLE_MAIN,
    rtm_protocol: k.RTPROT_KERNEL,
    rtm_scope: ifa_family === k.AF_INET ? k.RT_SCOPE_LINK : k.RT_SCOPE_UNIVERSE,
    rtm_type: k.RTN_UNICAST,
    rtm_flags: 0,
    RTA_TABLE: k.RT_TABLE_MAIN,
    RTA_DST: prefixAddress(networkOf(prefixOf(local, ifa_prefixlen))),
    RTA_OIF: ifa_index,
    RTA_PREFSRC: local,
  });
}

const localOf = (address: AddressMessage) => address.IFA_LOCAL ?? address.IFA_ADDRESS;

function same(a: AddressMessage, b: AddressMessage): boolean {
  return a.ifa_index === b.ifa_index && a.ifa_prefixlen === b.ifa_prefixlen && localOf(a) === localOf(b);
}
