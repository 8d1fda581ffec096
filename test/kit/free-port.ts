import { randomInt } from 'node:crypto';
import net from 'node:net';

/** Below those that the kernel gives to connections: one of them would be taken before a server gets to it, now and then. */
const ports = { first: 15_000, end: 30_000 };

/** A port of 127.0.0.1 that nobody has. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(ports.first, ports.end);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  const server = net.createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
