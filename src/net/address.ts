/**
 * IP addresses as values. An `Address` is its own canonical text (RFC 5952 for IPv6, an IPv4-mapped
 * address as IPv4, as Go prints them), so two equal addresses are equal strings: they serve as keys,
 * go into JSON and logs as they are, and compare with `===`.
 */
declare const addressBrand: unique symbol;
export type Address = string & { readonly [addressBrand]: true };
export type Family = 4 | 6;

/** Bits in an address of this family. */
export const addressBits = (family: Family): 32 | 128 => (family === 4 ? 32 : 128);

export function familyOf(address: Address): Family {
  return address.includes(':') ? 6 : 4;
}

/**
 * Reads an address as strictly as Go's netip/net parser: no leading zeros, no zone, no white space.
 * The answer is undefined for anything else.
 */
export function parseAddress(text: string): Address | undefined {
  // What is read so strictly can be written in one way only.
  if (!text.includes(':')) return parseIPv4(text) && (text as Address);
  const bytes = parseIPv6(text);
  return bytes && addressFromBytes(bytes);
}

/** For literals in the program and in tests: a bad one is a programmer's error. */
export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new TypeError(`not an IP address: ${JSON.stringify(text)}`);
  return parsed;
}

/** The canonical address of 4 or 16 bytes in network order. Throws a RangeError for other lengths. */
export function addressFromBytes(bytes: Uint8Array): Address {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as Address;
  if (bytes.length !== 16) throw new RangeError(`an address has 4 or 16 bytes, not ${bytes.length}`);
  if (isIPv4Mapped(bytes)) return bytes.subarray(12).join('.') as Address;
  return formatIPv6(bytes) as Address;
}

/** 4 or 16 bytes in network order. */
export function addressBytes(address: Address): Uint8Array {
  const bytes = familyOf(address) === 6 ? parseIPv6(address) : parseIPv4(address);
  if (bytes === undefined) throw new TypeError(`not an IP address: ${JSON.stringify(address)}`);
  return bytes;
}

/** The address as an unsigned integer, for arithmetic. */
export function addressToInteger(address: Address): bigint {
  const bytes = addressBytes(address);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (bytes.length === 4) return BigInt(view.getUint32(0));
  return (view.getBigUint64(0) << 64n) | view.getBigUint64(8);
}

/** The inverse of {@link addressToInteger}. Throws a RangeError outside the family's range. */
export function addressFromInteger(value: bigint, family: Family): Address {
  if (value < 0n || value >> BigInt(addressBits(family)) !== 0n) {
    throw new RangeError(`${value} is no IPv${family} address`);
  }
  const bytes = new Uint8Array(addressBits(family) / 8);
  const view = new DataView(bytes.buffer);
  if (family === 4) view.setUint32(0, Number(value));
  else view.setBigUint64(0, value >> 64n);
  if (family === 6) view.setBigUint64(8, value);
  return addressFromBytes(bytes);
}

export function isLoopback(address: Address): boolean {
  return familyOf(address) === 4 ? address.startsWith('127.') : address === '::1';
}

export function isMulticast(address: Address): boolean {
  const first = addressBytes(address)[0] ?? 0;
  return familyOf(address) === 4 ? first >= 224 && first <= 239 : first === 0xff;
}

export function isUnspecified(address: Address): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** 169.254.0.0/16 and fe80::/10. */
export function isLinkLocalUnicast(address: Address): boolean {
  const [first = 0, second = 0] = addressBytes(address);
  return familyOf(address) === 4
    ? first === 169 && second === 254
    : first === 0xfe && (second & 0xc0) === 0x80;
}

/** As Go's IsGlobalUnicast: private ranges count. */
export function isGlobalUnicast(address: Address): boolean {
  return !(
    isUnspecified(address) ||
    isLoopback(address) ||
    isMulticast(address) ||
    isLinkLocalUnicast(address) ||
    address === '255.255.255.255'
  );
}

/** A daemon reads tens of thousands of them at its start: digit by digit takes a third of the time that a pattern does. */
function parseIPv4(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(4);
  let at = 0;
  for (let i = 0; i < 4; i++) {
    if (i > 0 && text.charCodeAt(at++) !== dot) return undefined;
    const start = at;
    let value = 0;
    for (let digit = digitAt(text, at); digit >= 0 && at - start < 3; digit = digitAt(text, ++at)) {
      value = value * 10 + digit;
    }
    const isPadded = at - start > 1 && text.charCodeAt(start) === zero;
    if (at === start || isPadded || value > 255) return undefined;
    bytes[i] = value;
  }
  return at === text.length ? bytes : undefined;
}

const [zero, dot] = [0x30, 0x2e];

/** -1: there is none. */
function digitAt(text: string, at: number): number {
  const digit = text.charCodeAt(at) - zero;
  return digit >= 0 && digit <= 9 ? digit : -1;
}

function parseIPv6(text: string): Uint8Array | undefined {
  const gap = text.indexOf('::');
  if (gap !== -1 && text.indexOf('::', gap + 1) !== -1) return undefined;
  const head = parseGroups(gap === -1 ? text : text.slice(0, gap), gap === -1);
  const tail = gap === -1 ? [] : parseGroups(text.slice(gap + 2), true);
  if (head === undefined || tail === undefined) return undefined;
  const length = head.length + tail.length;
  if (gap === -1 ? length !== 16 : length > 14) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** Colon-separated groups as bytes; the last may be dotted IPv4 when `last` says that the text ends here. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [i, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    } else {
      const ipv4 = last && i === groups.length - 1 ? parseIPv4(group) : undefined;
      if (ipv4 === undefined) return undefined;
      bytes.push(...ipv4);
    }
  }
  return bytes;
}

function isIPv4Mapped(bytes: Uint8Array): boolean {
  return bytes[10] === 0xff && bytes[11] === 0xff && bytes.subarray(0, 10).every((byte) => byte === 0);
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups (the first of equals) as `::`. */
function formatIPv6(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0));
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) [start, length] = [i, end - i];
    i = Math.max(i, end - 1);
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  return start === -1 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}
