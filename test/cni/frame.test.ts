import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeDone,
  decodeRequest,
  encodeFrame,
  encodeReply,
  encodeWork,
  FrameReader,
  maxPayload,
} from '../../src/cni/launcher/frame.ts';

describe('frames', () => {
  test('come out as they went in, however the stream cuts them', () => {
    const frame = fc.record({ type: fc.nat(), payload: fc.uint8Array({ maxLength: 50 }) });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 5 }), fc.integer({ min: 1, max: 30 }), (frames, size) => {
        const stream = Buffer.concat(frames.map(({ type, payload }) => encodeFrame(type, payload)));
        const reader = new FrameReader();
        const read = [];
        for (let at = 0; at < stream.length; at += size)
          read.push(...reader.push(stream.subarray(at, at + size)));
        expect(read.map(({ type, payload }) => ({ type, payload: [...payload] }))).toEqual(
          frames.map(({ type, payload }) => ({ type, payload: [...payload] })),
        );
      }),
    );
  });

  test('that claim to be too long are refused before they have come', () => {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(maxPayload + 1, 4);
    expect(() => new FrameReader().push(head)).toThrow(RangeError);
  });
});

describe('a request', () => {
  test('is variables and the rest', () => {
    const payload = Buffer.concat([Buffer.from('CNI_COMMAND=ADD\0CNI_ARGS=A=B\0\0'), Buffer.from([0, 255])]);
    expect(decodeRequest(payload)).toEqual({
      environment: { CNI_COMMAND: 'ADD', CNI_ARGS: 'A=B' },
      stdin: Buffer.from([0, 255]),
    });
  });

  test.each(['', 'A=B', 'A=B\0', 'A\0\0', '=B\0\0'])('%j is none', (payload) => {
    expect(decodeRequest(Buffer.from(payload))).toBeUndefined();
  });

  test('of any bytes is read or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        decodeRequest(Buffer.from(bytes));
      }),
    );
  });
});

test('a reply is status, length of output, output, the rest', () => {
  expect(Buffer.concat(encodeReply({ status: 1, stdout: 'ä', stderr: 'x' }))).toEqual(
    Buffer.from([1, 0, 0, 0, 2, 0, 0, 0, 0xc3, 0xa4, 0x78]),
  );
});

test('work is a script with its length, and a reply', () => {
  const script = Buffer.from('script');
  const head = Buffer.from([6, 0, 0, 0, ...script]);
  expect(Buffer.concat(encodeWork(script, undefined))).toEqual(head);
  const reply = { status: 0, stdout: 'x', stderr: '' };
  expect(Buffer.concat(encodeWork(script, reply))).toEqual(Buffer.concat([head, ...encodeReply(reply)]));
});

test('done is how many lines are done, an errno, and an answer of the kernel', () => {
  const payload = Buffer.from([2, 0, 0, 0, 13, 0, 0, 0, 0x61]);
  expect(decodeDone(payload)).toEqual({ count: 2, errno: 13, answer: Buffer.from('a') });
  expect(decodeDone(payload.subarray(0, 7))).toBeUndefined();
});
