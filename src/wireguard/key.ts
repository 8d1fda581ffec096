/** Bytes of every WireGuard key: private, public and preshared. */
const keyLength = 32;

/** A Curve25519 public key as wg(8) shows it: the base64 of its 32 bytes. Canonical, so equality is `===`. */
export type PublicKey = string & { readonly publicKey: unique symbol };

/** Undefined for anything but 32 bytes in base64; zeros are no key. */
export function parsePublicKey(text: string): PublicKey | undefined {
  const bytes = keyBytes(text);
  return bytes === undefined ? undefined : publicKeyFromBytes(bytes);
}

export const publicKeyFromBytes = (bytes: Uint8Array): PublicKey =>
  Buffer.from(bytes).toString('base64') as PublicKey;
export const publicKeyBytes = (key: PublicKey): Uint8Array => Buffer.from(key, 'base64');

/** A private or preshared key. What it is made of lies where no printer, no JSON and no log finds it. */
export class Secret {
  readonly #bytes: Uint8Array;

  /** Throws a RangeError for other lengths than 32. */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== keyLength) throw new RangeError(`a key has ${keyLength} bytes, not ${bytes.length}`);
    this.#bytes = bytes.slice();
  }

  reveal(): Uint8Array {
    return this.#bytes.slice();
  }

  equals(other: Secret | undefined): boolean {
    return other !== undefined && Buffer.compare(this.#bytes, other.#bytes) === 0;
  }
}

/** Undefined for anything but 32 bytes in base64; zeros are no key. */
export function parseSecret(text: string): Secret | undefined {
  const bytes = keyBytes(text);
  return bytes === undefined ? undefined : new Secret(bytes);
}

/** With the bits that Curve25519 sets and clears, as kernel and wireguard-go keep it (RFC 7748, section 5). */
export function privateKeyOf(secret: Secret): Secret {
  const bytes = secret.reveal();
  bytes[0] = (bytes[0] ?? 0) & 248;
  bytes[31] = ((bytes[31] ?? 0) & 127) | 64;
  return new Secret(bytes);
}

/** PKCS #8 in front of the 32 bytes of an X25519 private key (RFC 8410). */
const pkcs8 = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20);

export function publicKeyOf(privateKey: Secret): PublicKey {
  // Loaded when it is needed: other backends start faster without it.
  const { createPrivateKey, createPublicKey } = process.getBuiltinModule('node:crypto');
  const key = createPrivateKey({
    key: Buffer.concat([pkcs8, privateKey.reveal()]),
    format: 'der',
    type: 'pkcs8',
  });
  const der = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return publicKeyFromBytes(der.subarray(-keyLength));
}

function keyBytes(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== keyLength || bytes.toString('base64') !== text) return undefined;
  return bytes.every((byte) => byte === 0) ? undefined : bytes;
}
