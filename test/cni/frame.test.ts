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
} from '../../src/cni/frame.ts';

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
  expect(encodeReply({ status: 1, stdout: 'ä', stderr: 'x' })).toEqual(
    Buffer.from([1, 0, 0, 0, 2, 0, 0, 0, 0xc3, 0xa4, 0x78]),
  );
});

test('work is sysctls (place, required, path, value), messages, and a reply', () => {
  const path = 'net/ipv4/ip_forward';
  const sysctls = [
    { where: 'host', path, value: '1', required: true, ifDifferent: true },
    { where: 'pod', path: 'net/x', value: '0', required: false, ifDifferent: false },
  ] as const;
  const messages = Buffer.from('netlink');
  const list = Buffer.from(`h\u0001\u0001${path}\u00001\0p\0\0net/x\u00000\0`);
  const head = Buffer.concat([
    Buffer.from([list.length, 0, 0, 0]),
    list,
    Buffer.from([7, 0, 0, 0]),
    messages,
  ]);
  expect(encodeWork({ sysctls, messages, reply: undefined })).toEqual(head);
  const reply = { status: 0, stdout: 'x', stderr: '' };
  expect(encodeWork({ sysctls, messages, reply })).toEqual(Buffer.concat([head, encodeReply(reply)]));
});

test('done is how many messages went well, one errno for each sysctl, and an answer of the kernel', () => {
  const payload = Buffer.from([2, 0, 0, 0, 0, 0, 0, 0, 13, 0, 0, 0, 0x61]);
  expect(decodeDone(payload, 2)).toEqual({ messages: 2, outcomes: [0, 13], answer: Buffer.from('a') });
  expect(decodeDone(payload, 3)).toBeUndefined();
});
