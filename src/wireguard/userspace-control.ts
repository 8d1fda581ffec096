import { getSystemErrorName } from 'node:util';
import { type DeviceReading, type WireguardControl, WireguardError } from './device.ts';
import { errnoOf, getRequest, parseReading, setRequest } from './uapi.ts';

/** What user space WireGuard needs of the world. */
export interface UserspaceWorld {
  /**
   * Sends requests to the unix socket at `path`, one after the other, and answers the answers. Rejects with the error of node:net,
   * ENOENT or ECONNREFUSED when nobody listens there.
   */
  exchange(path: string, requests: readonly string[]): Promise<string[]>;
  /** Runs wireguard-go, which leaves a process behind that has the device. `code` is -1 when it could not be started. */
  start(link: string): Promise<{ readonly code: number; readonly stderr: string }>;
  wait(milliseconds: number): Promise<void>;
}

/** Milliseconds that a former wireguard-go has to end, since it takes the socket's name with it, and between two looks. */
const endsWithin = 5000;
const lookEvery = 20;

/** Where wireguard-go listens; it cannot be told otherwise. */
const socketOf = (link: string): string => `/var/run/wireguard/${link}.sock`;

const missing =
  'this kernel has no WireGuard (try "modprobe wireguard"), and the program wireguard-go, which would do without, ' +
  'cannot be started: install it (Debian, Ubuntu: apt-get install wireguard-go), or use another backend';

/** WireGuard by wireguard-go, or whatever else answers as it does. */
export function userspaceControl({ exchange, start, wait }: UserspaceWorld): WireguardControl {
  return {
    async make(link) {
      for (let waited = 0; waited < endsWithin && (await read(link)) !== undefined; waited += lookEvery)
        await wait(lookEvery);
      const { code, stderr } = await start(link);
      if (code === -1) throw new WireguardError(missing);
      if (code !== 0) throw new WireguardError(`wireguard-go ends with ${code}: ${lastLine(stderr)}`);
    },
    read,
    async write(changes) {
      const links = [...new Set(changes.map(({ link }) => link))];
      const outcomes = new Map<unknown, WireguardError | undefined>();
      for (const link of links) {
        const ofLink = changes.filter((change) => change.link === link);
        const answers = await answersOf(link, ofLink.map(setRequest));
        for (const [i, change] of ofLink.entries()) outcomes.set(change, outcomeOf(answers[i] ?? ''));
      }
      return changes.map((change) => outcomes.get(change));
    },
  };

  async function read(link: string): Promise<DeviceReading | undefined> {
    try {
      const [answer = ''] = await exchange(socketOf(link), [getRequest]);
      return parseReading(answer);
    } catch (error) {
      if (isNobody(error)) return undefined;
      throw error;
    }
  }

  async function answersOf(link: string, requests: readonly string[]): Promise<string[]> {
    try {
      return await exchange(socketOf(link), requests);
    } catch (error) {
      if (isNobody(error)) return [];
      throw error;
    }
  }
}

function outcomeOf(answer: string): WireguardError | undefined {
  if (answer === '') return new WireguardError('no wireguard-go answers for it', 'ENOENT');
  const errno = errnoOf(answer);
  if (errno === 0) return undefined;
  const code = getSystemErrorName(-errno);
  return new WireguardError(`wireguard-go says ${code}`, code);
}

const isNobody = (error: unknown): boolean =>
  ['ENOENT', 'ECONNREFUSED'].includes((error as NodeJS.ErrnoException).code ?? '');

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? '';
