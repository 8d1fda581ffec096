/** A hardware address of six bytes as canonical text: lower case, colons, `12:c6:65:89:b4:e3`. */
declare const macBrand: unique symbol;
export type Mac = string & { readonly [macBrand]: true };

/** Reads the six-byte forms that Go's net.ParseMAC takes (colons, hyphens, dots); undefined for anything else. */
export function parseMac(text: string): Mac | undefined {
  const digits =
    /^(?:[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}|(?:[0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4})$/.test(
      text,
    )
      ? text.replace(/[:.-]/g, '').toLowerCase()
      : undefined;
  return digits?.replace(/(..)(?=.)/g, '$1:') as Mac | undefined;
}

/** For literals in the program and in tests: a bad one is a programmer's error. */
export function mac(text: string): Mac {
  const parsed = parseMac(text);
  if (parsed === undefined) throw new TypeError(`not a MAC address: ${JSON.stringify(text)}`);
  return parsed;
}

/** One device's: not zero, and without the group bit. */
export function isUnicastMac(mac: Mac): boolean {
  return mac !== '00:00:00:00:00:00' && (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0;
}

export function macBytes(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(6);
  for (let i = 0; i < 6; i++) bytes[i] = Number.parseInt(mac.slice(3 * i, 3 * i + 2), 16);
  return bytes;
}

/** The canonical text of six bytes. Throws a RangeError for other lengths. */
export function macFromBytes(bytes: Uint8Array): Mac {
  if (bytes.length !== 6) throw new RangeError(`a MAC address has 6 bytes, not ${bytes.length}`);
  const text = (at: number) => hex[bytes[at] ?? 0];
  return `${text(0)}:${text(1)}:${text(2)}:${text(3)}:${text(4)}:${text(5)}` as Mac;
}

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** A locally administered unicast address out of six random bytes, as the kernel and flannel make one. */
export function randomMac(random: Uint8Array): Mac {
  const bytes = random.slice(0, 6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02;
  return macFromBytes(bytes);
}
