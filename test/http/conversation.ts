import { readFileSync } from 'node:fs';
import type net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { HttpClient, type HttpClientOptions } from '../../src/http/client.ts';
import type { HttpError } from '../../src/http/error.ts';
import { systemClock } from '../../src/world/clock.ts';

/** Clients and servers that are closed when the test has ended. */

export const get = { method: 'GET', path: '/' } as const;

export function clientOf(options: Partial<HttpClientOptions> & { servers: readonly string[] }): HttpClient {
  const readFile = (file: string) => readFileSync(file, 'utf8');
  const client = new HttpClient({ clock: systemClock, readFile, ...options });
  onTestFinished(() => client.close());
  return client;
}

export function listen(server: net.Server): Promise<string> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () =>
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    );
  });
}

export async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'it succeeded',
    (error: HttpError) => error.message,
  );
}
