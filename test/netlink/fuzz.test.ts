import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CodecError } from '../../src/netlink/codec-error.ts';
import { frames } from '../../src/netlink/message.ts';
import { viewOf } from '../../src/netlink/payload.ts';
import { decodeRouteMessage } from '../../src/netlink/route/notification.ts';
import { arbitraryOf } from './arbitrary.ts';
import { type AnyCodec, codecs } from './codecs.ts';
import { golden } from './golden.ts';
import { bodyOf } from './wire.ts';

const runs = Number(process.env.FUZZ_RUNS ?? 150);

/** Reads, and lets pass only what a reader may throw. */
function decodeOrRefuse(codec: AnyCodec, bytes: Uint8Array): object | undefined {
  try {
    return codec.decode(viewOf(bytes), 0, bytes.length);
  } catch (error) {
    expect(error).toBeInstanceOf(CodecError);
    return undefined;
  }
}

describe.each(Object.entries(codecs))('the %s codec', (name, codec) => {
  test('reads back what it wrote', () => {
    fc.assert(
      fc.property(arbitraryOf(codec.shape), (value) => {
        const bytes = bodyOf(codec, value as object);
        expect(codec.decode(viewOf(bytes), 0, bytes.length)).toEqual(value);
      }),
      { numRuns: runs },
    );
  });

  test('refuses noise with a CodecError, or reads it to something that it can write', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        decodeOrRefuse(codec, bytes);
      }),
      { numRuns: 4 * runs },
    );
  });

  test('takes mutated golden bytes in the same way', () => {
    const rows = golden().filter((row) => row.codec === name);
    expect(rows.length).toBeGreaterThan(0);
    const mutation = fc.record({ at: fc.nat(0xffff), byte: fc.nat(255), cut: fc.option(fc.nat(64)) });
    fc.assert(
      fc.property(
        fc.constantFrom(...rows),
        fc.array(mutation, { minLength: 1, maxLength: 6 }),
        (row, mutations) => {
          let bytes = Uint8Array.from(row.bytes);
          for (const { at, byte, cut } of mutations) {
            if (cut !== null) bytes = bytes.slice(0, Math.max(0, bytes.length - cut));
            bytes[at % Math.max(1, bytes.length)] = byte;
          }
          decodeOrRefuse(codec, bytes);
        },
      ),
      { numRuns: 4 * runs },
    );
  });
});

test('a datagram of noise is refused with a CodecError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        for (const frame of frames(bytes)) decodeRouteMessage(frame);
      } catch (error) {
        expect(error).toBeInstanceOf(CodecError);
      }
    }),
    { numRuns: 4 * runs },
  );
});
