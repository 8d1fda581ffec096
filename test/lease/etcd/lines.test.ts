import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lines } from '../../../src/lease/etcd/lines.ts';

async function* pieces(text: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < text.length; at += size) yield text.subarray(at, at + size);
}

test('lines come whole, in whatever pieces the text comes', async () => {
  const line = fc.string({ unit: fc.constantFrom('a', '{', 'é', '\r') }).map((text) => text.trim());
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.integer({ min: 1, max: 7 }), async (written, size) => {
      const read: string[] = [];
      for await (const each of lines(pieces(Buffer.from(written.join('\n')), size), 1000)) read.push(each);
      expect(read).toEqual(written.filter((text) => text !== ''));
    }),
  );
});

test('a line without end is refused', async () => {
  const endless = lines(pieces(Buffer.alloc(5000, 'x'), 100), 1000);
  await expect(endless.next()).rejects.toThrow(/longer than 1000 bytes/);
});
