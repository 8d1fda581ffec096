import {
  type Address,
  addressBits,
  addressBytes,
  addressFromBytes,
  addressFromInteger,
  addressToInteger,
  type Family,
  familyOf,
  parseAddress,
} from './address.ts';

/**
 * An address with a prefix length as canonical text, `10.244.1.7/24`. Host bits are kept, as Go's
 * ParseCIDR keeps them beside the network: {@link networkOf} masks them away.
 */
declare const prefixBrand: unique symbol;
export type Prefix = string & { readonly [prefixBrand]: true };

/** Reads `address/length`; undefined for anything that Go's net.ParseCIDR refuses. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  if (slash === -1) return undefined;
  const written = text.slice(0, slash);
  const address = parseAddress(written);
  const digits = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9][0-9]{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  // Go takes an IPv4-mapped prefix for IPv6 with its 128 bits; none of our ranges may be written so.
  if (written.includes(':') && familyOf(address) === 4) return undefined;
  if (length > addressBits(familyOf(address))) return undefined;
  return address === written ? (text as Prefix) : prefixOf(address, length);
}

/** For literals in the program and in tests: a bad one is a programmer's error. */
export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new TypeError(`not an address with prefix length: ${JSON.stringify(text)}`);
  return parsed;
}

export function prefixOf(address: Address, length: number): Prefix {
  return `${address}/${length}` as Prefix;
}

export function prefixAddress(prefix: Prefix): Address {
  return prefix.slice(0, prefix.indexOf('/')) as Address;
}

export function prefixLength(prefix: Prefix): number {
  return Number(prefix.slice(prefix.indexOf('/') + 1));
}

export function prefixFamily(prefix: Prefix): Family {
  return prefix.includes(':') ? 6 : 4;
}

/** The prefix with its host bits cleared: `10.244.1.7/24` becomes `10.244.1.0/24`. */
export function networkOf(prefix: Prefix): Prefix {
  return prefixOf(firstAddress(prefix), prefixLength(prefix));
}

/** Whether no host bit is set. */
export function isNetwork(prefix: Prefix): boolean {
  const length = prefixLength(prefix);
  return addressBytes(prefixAddress(prefix)).every((byte, i) => (byte & ~maskOf(length, i)) === 0);
}

/** The network address. */
export function firstAddress(prefix: Prefix): Address {
  const length = prefixLength(prefix);
  return addressFromBytes(addressBytes(prefixAddress(prefix)).map((byte, i) => byte & maskOf(length, i)));
}

/** The mask's byte at index `i`, for a prefix length in bits. */
const maskOf = (length: number, i: number): number =>
  0xff & ~(0xff >> Math.min(8, Math.max(0, length - 8 * i)));

/** The last address: IPv4's broadcast address. */
export function lastAddress(prefix: Prefix): Address {
  const { last, family } = prefixRange(prefix);
  return addressFromInteger(last, family);
}

export function containsAddress(prefix: Prefix, address: Address): boolean {
  const { first, last, family } = prefixRange(prefix);
  if (familyOf(address) !== family) return false;
  const value = addressToInteger(address);
  return value >= first && value <= last;
}

/** Whether every address of `inner` lies in `outer`. */
export function containsPrefix(outer: Prefix, inner: Prefix): boolean {
  const a = prefixRange(outer);
  const b = prefixRange(inner);
  return a.family === b.family && a.first <= b.first && b.last <= a.last;
}

export function overlaps(one: Prefix, other: Prefix): boolean {
  const a = prefixRange(one);
  const b = prefixRange(other);
  return a.family === b.family && a.first <= b.last && b.first <= a.last;
}

/** Its first and last address as integers: for comparing one prefix with many. */
export function prefixRange(prefix: Prefix): { first: bigint; last: bigint; family: Family } {
  const family = prefixFamily(prefix);
  const size = 1n << BigInt(addressBits(family) - prefixLength(prefix));
  const value = addressToInteger(prefixAddress(prefix));
  const first = value - (value % size);
  return { first, last: first + size - 1n, family };
}
