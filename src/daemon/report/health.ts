import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** What /readyz and /metrics tell. */
export interface Health {
  /** What it waits for before it is ready; empty when it is. */
  waitingFor(): readonly string[];
  /** As Prometheus reads them; undefined while there is nothing to count. */
  metrics(): string | undefined;
}

export interface HealthServer {
  /** Ends it, with the connections that are open. */
  close(): void;
}

/** More at a time than honest probes need. Each takes a descriptor, and the whole node may reach the port. */
const mostConnections = 64;

/**
 * Serves /healthz, /readyz and /metrics. Rejects when the port cannot be had.
 * Statuses and bodies of the first two are Go flannel's, followed by the reasons where it is not well.
 */
export async function serveHealth(ip: string, port: number, health: Health): Promise<HealthServer> {
  const { createServer } = process.getBuiltinModule('node:http'); // loaded where there is a port: it takes 4 MB
  const server = createServer({ keepAliveTimeout: 5_000 }, (request, response) => {
    const { status, body } = answer(request.url ?? '', health);
    response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  keepFew(server);
  await listen(server, ip, port);
  return {
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/**
 * The answer to a GET of `url`. /healthz says no more than that this process answers: all that can fail is tried again by itself, and
 * a restart would mend nothing.
 */
export function answer(url: string, health: Health): { status: number; body: string } {
  const path = url.split('?', 1)[0];
  if (path === '/healthz') return { status: 200, body: 'flanneld is running' };
  if (path === '/metrics') return metricsAnswer(health.metrics());
  if (path !== '/readyz') return { status: 404, body: 'there are /healthz, /readyz and /metrics' };
  const reasons = health.waitingFor();
  if (reasons.length === 0) return { status: 200, body: 'flanneld is ready' };
  return { status: 503, body: `flanneld is not ready yet: ${reasons.join('; ')}\n` };
}

const metricsAnswer = (body: string | undefined) =>
  body === undefined
    ? { status: 503, body: 'flanneld has no network yet: there is nothing to count\n' }
    : { status: 200, body };

/** Who comes is let in and the oldest has to go: so a crowd that holds on to its connections keeps no probe out. */
function keepFew(server: Server): void {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    const [oldest] = open;
    if (open.size > mostConnections) oldest?.destroy();
  });
}

function listen(server: Server, ip: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE'
          ? 'another program listens there already; stop it or choose another --healthz-port'
          : error.code === 'EADDRNOTAVAIL'
            ? 'this machine does not have that address; see --healthz-ip'
            : error.message;
      reject(new Error(`cannot serve /healthz at ${ip} port ${port}: ${why}`, { cause: error }));
    });
    server.listen(port, ip, resolve);
  });
}
