import { spawn } from 'node:child_process';
import type { Binding } from '../../../native/binding.ts';
import type { Backend, WireguardIdentity } from '../../backend/backend.ts';
import { Tunnels } from '../../kernel/tunnels.ts';
import type { Lease } from '../../lease/lease.ts';
import * as k from '../../netlink/constants.ts';
import { AsyncSession } from '../../netlink/session.ts';
import { openSocket } from '../../netlink/socket.ts';
import type { WireguardControl } from '../../wireguard/device.ts';
import { exchange } from '../../wireguard/exchange.ts';
import { kernelControl, wireguardFamily } from '../../wireguard/kernel-control.ts';
import { type PublicKey, publicKeyOf, type Secret } from '../../wireguard/key.ts';
import { userspaceControl, type UserspaceWorld } from '../../wireguard/userspace-control.ts';
import { sleep, systemClock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import { systemRandom } from '../../world/random.ts';
import type { WireguardStatus } from '../report/status.ts';
import { k3sKeyFile, keepKey, keyFilesOf } from './wireguard-key.ts';

/** What K3s 1.25 and older called the WireGuard device of its backend "wireguard". */
const k3sDevice = 'flannel.1';

/** WireGuard of this node, for the backend that needs it. */
export interface Wireguard {
  readonly tunnels: Tunnels;
  readonly identity: WireguardIdentity;
  status(peers: readonly Lease[]): WireguardStatus;
  close(): void;
}

interface Surroundings {
  readonly binding: Binding;
  readonly environment: NodeJS.ProcessEnv;
  readonly stateDirectory: string;
  readonly log: Log;
  /** The key is looked for and not written. */
  readonly dryRun?: boolean;
}

/**
 * Finds out how this kernel does WireGuard, and which key is this node's; undefined for another backend. Rejects with a
 * KeyFileError.
 */
export async function openWireguard(
  { type, ownLinks }: Backend,
  { binding, environment, stateDirectory, log, dryRun = false }: Surroundings,
): Promise<Wireguard | undefined> {
  if (type !== 'wireguard') return undefined;
  const session = new AsyncSession(openSocket(binding, { protocol: k.NETLINK_GENERIC }), systemClock);
  try {
    const family = await wireguardFamily(session);
    const userspace = family === undefined;
    if (userspace) log.warn({}, userspaceNote);
    const control = userspace
      ? userspaceControl(userspaceWorld(environment))
      : kernelControl(session, family);
    const privateKey = keepKey({
      files: keyFilesOf(environment, stateDirectory),
      legacyFile: k3sKeyFile,
      device: await keyOfDevices(control, ownLinks, log),
      random: systemRandom,
      log,
      dryRun,
    });
    const tunnels = new Tunnels(control, systemClock);
    return {
      tunnels,
      identity: { privateKey, publicKey: publicKeyOf(privateKey), userspace },
      status(peers) {
        const { handshakes } = tunnels;
        const ages = peers.map((peer): [string, number | null] => [
          peer.id,
          sinceHandshake(handshakes, peer),
        ]);
        return {
          userspace,
          ...(userspace && { note: userspaceNote }),
          handshakes: Object.fromEntries(ages),
        };
      },
      close: () => session.close(),
    };
  } catch (error) {
    session.close();
    throw error;
  }
}

/** For the log, and for who looks at the status. */
const userspaceNote =
  'this kernel has no WireGuard, so wireguard-go encrypts in user space, which is several times slower; unless wireguard-go ' +
  'is a unit of its own (it is taken over as it runs), it ends with this daemon where systemd or a container ends ' +
  'whatever a service has started, and pods of other nodes are cut off until the daemon is back';

function sinceHandshake(handshakes: Tunnels['handshakes'], { attributes }: Lease): number | null {
  const times = [attributes.backendData, attributes.backendV6Data].flatMap((data) => {
    const key = typeof data === 'object' && data !== null && 'PublicKey' in data ? data.PublicKey : undefined;
    return handshakes.get(key as PublicKey) ?? [];
  });
  if (times.length === 0) return null;
  return Math.max(0, Math.round((systemClock.now() - Math.max(...times)) / 1000));
}

/** The key of a device that is there is kept when no file has one. */
async function keyOfDevices(
  control: WireguardControl,
  devices: readonly string[],
  log: Log,
): Promise<Secret | undefined> {
  const keys: (Secret | undefined)[] = [];
  for (const device of devices) keys.push((await control.read(device))?.privateKey);
  const legacy = await control.read(k3sDevice);
  if (legacy !== undefined)
    log.warn({}, `${k3sDevice} is left from K3s's former backend "wireguard": it is removed`);
  return [...keys, legacy?.privateKey].find((key) => key !== undefined);
}

const userspaceWorld = (environment: NodeJS.ProcessEnv): UserspaceWorld => ({
  exchange,
  wait: (milliseconds) => sleep(systemClock, milliseconds),
  start: (link) =>
    new Promise((resolve) => {
      // In a session of its own: a signal from a terminal is not for it.
      const child = spawn('wireguard-go', [link], {
        // It lives longer than we do: our secrets are not for it.
        env: { PATH: environment['PATH'] },
        detached: true,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let stderr = '';
      child.on('error', (error) => resolve({ code: -1, stderr: error.message }));
      // Without descriptors to spare it has not even a pipe.
      if (child.pid === undefined) return;
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      child.on('close', (code) => resolve({ code: code ?? 1, stderr }));
    }),
});
