import type { Address } from '../net/address.ts';

/** Who holds an address. `ifname` is empty in files of host-local before 0.7, which hold the container alone. */
export interface Owner {
  readonly containerID: string;
  readonly ifname: string;
}

/** A reserved address. */
export interface Entry extends Owner {
  readonly address: Address;
}

/** Neither part of a key can hold a slash, so equal keys are equal owners. */
export const ownerKey = ({ containerID, ifname }: Owner): string => `${containerID}/${ifname}`;

/** What host-local writes into an address's file. */
export const encodeOwner = ({ containerID, ifname }: Owner): string => `${containerID.trim()}\r\n${ifname}`;

/**
 * Who an address's file names. Undefined for a file that names nobody: empty, or with zero bytes where
 * data never reached the disc, as a crash or a power failure leaves it behind.
 */
export function decodeOwner(content: string): Owner | undefined {
  const text = content.trim();
  if (text === '' || text.includes('\0')) return undefined;
  const end = text.indexOf('\r\n');
  return end === -1
    ? { containerID: text, ifname: '' }
    : { containerID: text.slice(0, end), ifname: text.slice(end + 2) };
}
