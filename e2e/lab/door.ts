import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import net, { type Socket } from 'node:net';
import path from 'node:path';
import { join } from './relay.ts';

export interface DoorPlan {
  /** The name of the network namespace. */
  readonly netns: string;
  /** Where to listen there: an address that it has, or `::` for all. */
  readonly host: string;
  readonly port: number;
  /** The port on this machine's loopback where the server is. */
  readonly to: number;
  /** For a socket. */
  readonly directory: string;
}

/**
 * Makes a server on this machine's loopback reachable in a network namespace. Through a socket in the file system, which no
 * namespace parts; a line from there to here would be one to the machine's own network.
 */
export class Door {
  readonly #server: net.Server;
  readonly #file: string;
  readonly #relay: ChildProcess;
  readonly #sockets = new Set<Socket>();

  private constructor({ netns, host, port, to, directory }: DoorPlan) {
    this.#file = path.join(directory, `${netns}-${port}.sock`);
    this.#server = net.createServer((from) => {
      this.#sockets.add(from);
      from.on('close', () => this.#sockets.delete(from));
      join(from, net.connect(to, '127.0.0.1'));
    });
    this.#server.listen(this.#file);
    const relay = [
      process.execPath,
      path.join(import.meta.dirname, 'relay.ts'),
      host,
      String(port),
      this.#file,
    ];
    // It ends with this process, however that ends.
    const args = ['--pdeathsig=KILL', 'nsenter', `--net=/run/netns/${netns}`, ...relay];
    this.#relay = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  }

  static async open(plan: DoorPlan): Promise<Door> {
    const door = new Door(plan);
    await new Promise<void>((resolve, reject) => {
      door.#relay.stdout?.once('data', () => resolve());
      door.#relay.once('close', () => reject(new Error(`no door to port ${plan.to} in ${plan.netns}`)));
    });
    return door;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => {
      this.#relay.once('close', resolve);
    });
    this.#relay.kill('SIGKILL');
    await ended;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
    rmSync(this.#file, { force: true });
  }
}
