import { u32 } from './fake-daemon.ts';

/** A sysctl: place ('p' pod, 'h' host), path and value. */
export type Setting = readonly [place: string, path: string, value: string];

/** Lines of a script that write sysctls. */
export function sysctls(settings: readonly Setting[], { required = false } = {}): Buffer {
  const flag = required ? '\x01' : '\0';
  return Buffer.from(
    settings.map(([place, path, value]) => `s${place}${flag}${path}\0${value}\0`).join(''),
    'latin1',
  );
}

/** A line that writes a sysctl if it is `before`. */
export const exchange = ([place, path, value]: Setting, before: string): Buffer =>
  Buffer.from(`x${place}${path}\0${before}\0${value}\0`);

/** A line that looks for a link. */
export const link = (place: string, name: string): Buffer => Buffer.from(`l${place}${name}\0`);

/** A line that sends a message. */
export function message(place: string, bytes: Uint8Array, tolerated = 0, index = 0): Buffer {
  return Buffer.concat([Buffer.from(`m${place}`), u32(tolerated, index, bytes.length), bytes]);
}

/** Where the index of the link stands in {@link newAddress}. */
export const placeOfIndex = 20;

/** RTM_NEWADDR of 192.0.2.<last> on the link with the index 1, which is lo, unless it says otherwise. */
export function newAddress(last: number, index = 1): Buffer {
  const bytes = Buffer.alloc(40);
  bytes.writeUInt32LE(40, 0);
  bytes.writeUInt16LE(20, 4);
  bytes.writeUInt16LE(0x605, 6); // REQUEST, ACK, CREATE, EXCL
  bytes.writeUInt32LE(last, 8);
  bytes.set([2, 32, 0, 0], 16);
  bytes.writeUInt32LE(index, placeOfIndex);
  for (const [at, attribute] of [1, 2].entries()) {
    bytes.writeUInt16LE(8, 24 + 8 * at);
    bytes.writeUInt16LE(attribute, 26 + 8 * at);
    bytes.set([192, 0, 2, last], 28 + 8 * at);
  }
  return bytes;
}
