import { type Address, parseAddress } from './address.ts';
import { type Mac, macBytes } from './mac.ts';

/** The link-local address that the kernel gives a link by itself: fe80:: with the MAC as EUI-64 (RFC 4291, appendix A). */
export function linkLocalAddress(mac: Mac): Address {
  const [first = 0, ...rest] = macBytes(mac);
  const bytes = [first ^ 0x02, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)];
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return parseAddress(`fe80::${hex.replace(/(.{4})(?=.)/g, '$1:')}`) as Address;
}
