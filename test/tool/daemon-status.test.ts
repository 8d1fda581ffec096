import fs from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { encodeFrame } from '../../src/cni/launcher/frame.ts';
import { askStatus } from '../../src/tool/daemon-status.ts';

test.each([
  ['a length that nobody sends', Buffer.alloc(8, 0xff), /4294967295 bytes/],
  ['a frame of no JSON', encodeFrame(32, Buffer.from('nonsense')), /JSON/],
])('what speaks otherwise than flanneld is refused: %s', async (_, bytes, why) => {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-status-'));
  const server = net.createServer((connection) => connection.end(bytes));
  onTestFinished(() => {
    server.close();
    fs.rmSync(directory, { recursive: true });
  });
  const socket = path.join(directory, 'other.sock');
  await new Promise<void>((resolve) => {
    server.listen(socket, resolve);
  });
  const asked = askStatus(socket);
  await expect(asked).rejects.toThrow(
    /^flanneld does not answer at .*other\.sock: .*does not speak as flanneld/,
  );
  await expect(asked).rejects.toThrow(why);
});
