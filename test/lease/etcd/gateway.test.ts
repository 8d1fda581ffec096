import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { EtcdGateway } from '../../../src/lease/etcd/gateway.ts';
import { systemClock } from '../../../src/world/clock.ts';

test('a refusal without an end fills no memory', async () => {
  let sent = 0;
  const lines = 'no\n'.repeat(20_000);
  const server = http.createServer((_request, response) => {
    response.writeHead(500);
    const more = () => {
      sent += lines.length;
      // What comes of a reader who never has enough: the test ends all the same.
      if (sent > 50_000_000) response.end();
      else if (!response.destroyed) response.write(lines, () => setImmediate(more));
    };
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const gateway = new EtcdGateway({ endpoints: [url], readFile: () => '', clock: systemClock });
  onTestFinished(() => {
    gateway.close();
    server.close();
    server.closeAllConnections();
  });
  const parts = gateway.stream('/v3/watch', {}, new AbortController().signal);
  await expect(parts.next()).rejects.toThrow('answers with HTTP status 500, and not as etcd does');
  expect(sent).toBeLessThan(5_000_000);
});

test.each([
  ['in good order', (socket: net.Socket) => socket.end()],
  ['with what was sent unread', (socket: net.Socket) => socket.resetAndDestroy()],
])('a server that ends a TLS handshake %s may want plain HTTP', async (_how, end) => {
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => end(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const gateway = new EtcdGateway({ endpoints: [url], readFile: () => '', clock: systemClock });
  onTestFinished(() => {
    gateway.close();
    server.close();
  });
  await expect(gateway.call('/v3/kv/range', {})).rejects.toThrow(/; or does it want http:\/\/ there\?/);
});
