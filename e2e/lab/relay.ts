// `relay.ts HOST PORT SOCKET`: whoever connects to the port speaks with who listens on the socket in the file system.
import net, { type Socket } from 'node:net';

/** Two connections become one: what ends one ends the other. */
export function join(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    from.pipe(to);
  }
}

const [host, port, socket] = process.argv.slice(2);
if (import.meta.main && socket !== undefined) {
  const server = net.createServer((from) => join(from, net.connect(socket)));
  server.listen(Number(port), host, () => console.log('ready'));
}
