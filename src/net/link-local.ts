import { type Address, addressFromBytes } from './address.ts';
import { type Mac, macBytes } from './mac.ts';

/** The link-local address that the kernel gives a link by itself: fe80:: with the MAC as EUI-64 (RFC 4291, appendix A). */
export function linkLocalAddress(mac: Mac): Address {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macBytes(mac);
  return addressFromBytes(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 0x02, b, c, 0xff, 0xfe, d, e, f));
}
