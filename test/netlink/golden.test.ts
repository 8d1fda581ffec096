import { describe, expect, test } from 'vitest';
import { viewOf } from '../../src/netlink/payload.ts';
import { codecs } from './codecs.ts';
import { golden } from './golden.ts';
import { bodyOf } from './wire.ts';

test('there are golden bytes for every codec', () => {
  expect([...new Set(golden().map((row) => row.codec))].toSorted()).toEqual(Object.keys(codecs).toSorted());
});

describe.each(golden())('$codec $name ($command)', ({ codec: name, bytes, value, exact }) => {
  const codec = codecs[name];
  if (codec === undefined) throw new Error(`golden bytes for ${name}, which is no codec`);

  test('is read as it was', () => {
    expect(codec.decode(viewOf(bytes), 0, bytes.length)).toEqual(value);
  });

  test('is written again', () => {
    const written = bodyOf(codec, value);
    if (exact) expect(Buffer.from(written).toString('hex')).toBe(Buffer.from(bytes).toString('hex'));
    // Unknown attributes go last, and our strings have their NUL: the same attributes all the same.
    expect(codec.decode(viewOf(written), 0, written.length)).toEqual(value);
  });

  test('is refused with a CodecError, or read, wherever it is cut off', () => {
    for (let length = 0; length < bytes.length; length++) {
      try {
        codec.decode(viewOf(bytes), 0, length);
      } catch (error) {
        expect(error).toHaveProperty('name', 'CodecError');
      }
    }
  });
});
