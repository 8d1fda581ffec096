import { type Address, addressBytes, addressFromBytes } from '../net/address.ts';
import { type Mac, macBytes, macFromBytes } from '../net/mac.ts';
import { CodecError } from './codec-error.ts';
import { copyBytes, type Payload } from './payload.ts';

/** Bytes that nobody here reads. */
export const binary: Payload<Uint8Array> = {
  shape: { kind: 'binary' },
  decode: copyBytes,
  encode: (writer, value) => writer.raw(value),
};

/** An attribute without a value: there or not. `false` writes nothing, and is never read. */
export const flag: Payload<boolean> = {
  shape: { kind: 'flag' },
  decode: () => true,
  encode() {},
};

/**
 * 4 or 16 bytes. An IPv4-mapped address is an IPv6 address here, `::ffff:1.2.3.4`: in a route or a
 * neighbour it is not the same thing as the IPv4 address that parseAddress makes of that text, and it
 * must go back as the sixteen bytes it was.
 */
export const address: Payload<Address> = {
  shape: { kind: 'address' },
  decode(view, start, end) {
    const length = end - start;
    if (length === 4) {
      return `${view.getUint8(start)}.${view.getUint8(start + 1)}.${view.getUint8(start + 2)}.${view.getUint8(start + 3)}` as Address;
    }
    if (length !== 16) throw new CodecError(`4 or 16 bytes expected, ${length} found`);
    const text = addressFromBytes(new Uint8Array(view.buffer, view.byteOffset + start, 16));
    return text.includes(':') ? text : (`::ffff:${text}` as Address);
  },
  encode: (writer, value) => writer.raw(addressBytes(value)),
};

/** A hardware address: a Mac when it has six bytes, bytes for other kinds of links (4 for ipip, 20 for InfiniBand). */
export const hardwareAddress: Payload<Mac | Uint8Array> = {
  shape: { kind: 'mac' },
  decode(view, start, end) {
    if (end - start !== 6) return copyBytes(view, start, end);
    return macFromBytes(new Uint8Array(view.buffer, view.byteOffset + start, 6));
  },
  encode: (writer, value) => writer.raw(typeof value === 'string' ? macBytes(value) : value),
};
