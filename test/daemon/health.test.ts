import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, test } from 'vitest';
import { answer, serveHealth } from '../../src/daemon/report/health.ts';
import { freePort } from '../kit/free-port.ts';

const well = { waitingFor: () => [], metrics: () => 'flanneld_ready 1\n' };
const starting = { waitingFor: () => ['the registry', 'subnet.env'], metrics: () => undefined };

test.each([
  ['/healthz', well, 200, 'flanneld is running'],
  ['/healthz', starting, 200, 'flanneld is running'],
  ['/healthz?verbose', starting, 200, 'flanneld is running'],
  ['/readyz', well, 200, 'flanneld is ready'],
  ['/readyz', starting, 503, 'flanneld is not ready yet: the registry; subnet.env\n'],
  ['/metrics', well, 200, 'flanneld_ready 1\n'],
  ['/metrics', starting, 503, 'flanneld has no network yet: there is nothing to count\n'],
  ['/', well, 404, 'there are /healthz, /readyz and /metrics'],
])('%s %#', (url, health, status, body) => {
  expect(answer(url, health)).toEqual({ status, body });
});

test('a port that is in use is named', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  await expect(serveHealth('127.0.0.1', port, well)).rejects.toThrow(
    `cannot serve /healthz at 127.0.0.1 port ${port}: another program listens there already`,
  );
  other.close();
});

test('an address that this machine does not have is named', async () => {
  await expect(serveHealth('192.0.2.1', 1, well)).rejects.toThrow(
    'does not have that address; see --healthz-ip',
  );
});

test('a crowd of connections takes few descriptors, and keeps no probe out', async () => {
  const port = await freePort();
  const server = await serveHealth('127.0.0.1', port, well);
  const before = descriptors();
  const crowd = Array.from({ length: 300 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  try {
    await Promise.all(crowd.map((socket) => once(socket, 'connect')));
    const response = await fetch(`http://127.0.0.1:${port}/healthz`);
    expect(await response.text()).toBe('flanneld is running');
    // The crowd's own 300 are of this process as well.
    expect(descriptors() - before).toBeLessThan(300 + 100);
  } finally {
    for (const socket of crowd) socket.destroy();
    server.close();
  }
});

const descriptors = (): number => readdirSync('/proc/self/fd').length;
