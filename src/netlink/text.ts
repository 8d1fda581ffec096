import { CodecError } from './codec-error.ts';
import type { Payload } from './payload.ts';

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

/** A string up to its NUL, or to the end of the attribute where the kernel leaves the NUL out. */
export const string: Payload<string> = {
  shape: { kind: 'string' },
  decode(view, start, end) {
    let text = '';
    for (let i = start; i < end; i++) {
      const byte = view.getUint8(i);
      if (byte === 0) return text;
      // Nearly everything is short and ASCII: a TextDecoder costs more than it reads.
      if (byte >= 0x80) return decodeUtf8(view, start, end);
      text += String.fromCharCode(byte);
    }
    return text;
  },
  encode(writer, value) {
    if (value.includes('\0')) throw new CodecError(`${JSON.stringify(value)} holds a NUL`);
    writer.raw(encoder.encode(value));
    writer.reserve(1);
  },
};

function decodeUtf8(view: DataView, start: number, end: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + start, end - start);
  const nul = bytes.indexOf(0);
  return decoder.decode(nul === -1 ? bytes : bytes.subarray(0, nul));
}
