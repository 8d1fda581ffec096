import { parsePrefix } from '../net/prefix.ts';
import type { DeviceChange, DeviceReading, PeerReading, PeerSettings } from './device.ts';
import { parseEndpoint } from './endpoint.ts';
import { type PublicKey, publicKeyBytes, publicKeyFromBytes, Secret } from './key.ts';

/**
 * The text that user space implementations speak on their socket (wireguard.com/xplatform): one `key=value` a line,
 * keys in hexadecimal, an empty line at the end.
 */

export const getRequest = 'get=1\n\n';

export function setRequest(change: DeviceChange): string {
  return `${['set=1', ...linesOf(change)].join('\n')}\n\n`;
}

function linesOf(change: DeviceChange): string[] {
  if ('device' in change) {
    const { privateKey, listenPort, fwmark } = change.device;
    return [`private_key=${hex(privateKey)}`, `listen_port=${listenPort}`, `fwmark=${fwmark}`];
  }
  if ('removed' in change) return [`public_key=${publicHex(change.removed)}`, 'remove=true'];
  return peerLines(change.peer);
}

function peerLines({ publicKey, presharedKey, endpoint, keepalive, allowedIPs }: PeerSettings): string[] {
  return [
    `public_key=${publicHex(publicKey)}`,
    // Zeros take a key away.
    `preshared_key=${presharedKey === undefined ? '0'.repeat(64) : hex(presharedKey)}`,
    ...(endpoint === undefined ? [] : [`endpoint=${endpoint}`]),
    `persistent_keepalive_interval=${keepalive}`,
    'replace_allowed_ips=true',
    ...allowedIPs.map((prefix) => `allowed_ip=${prefix}`),
  ];
}

/** Whether an answer, or all that came of it, is whole. */
export const isWhole = (answer: string): boolean => answer.endsWith('\n\n');

/** The errno of a whole answer, positive; 0: it is done. Throws a SyntaxError when it tells none. */
export function errnoOf(answer: string): number {
  const digits = /^errno=-?(\d+)$/m.exec(answer)?.[1];
  if (digits === undefined) throw new SyntaxError('an answer without errno');
  return Number(digits);
}

/** A whole answer to {@link getRequest}. What is not known here is passed over. */
export function parseReading(answer: string): DeviceReading {
  const device: Record<string, string> = {};
  const peers: Fields[] = [];
  for (const line of answer.split('\n')) {
    const at = line.indexOf('=');
    if (at === -1) continue;
    const [key, value] = [line.slice(0, at), line.slice(at + 1)];
    const peer = peers.at(-1);
    if (key === 'public_key') peers.push({ allowedIPs: [], values: { public_key: value } });
    else if (peer === undefined) device[key] = value;
    else if (key === 'allowed_ip') peer.allowedIPs.push(value);
    else peer.values[key] = value;
  }
  const privateKey = secretOf(device['private_key']);
  return {
    ...(privateKey && { privateKey }),
    listenPort: Number(device['listen_port'] ?? 0),
    fwmark: Number(device['fwmark'] ?? 0),
    peers: peers.map(peerOf),
  };
}

interface Fields {
  readonly values: Record<string, string>;
  readonly allowedIPs: string[];
}

function peerOf({ values, allowedIPs }: Fields): PeerReading {
  const presharedKey = secretOf(values['preshared_key']);
  const endpoint = parseEndpoint(values['endpoint'] ?? '');
  const seconds = Number(values['last_handshake_time_sec'] ?? 0);
  const nanoseconds = Number(values['last_handshake_time_nsec'] ?? 0);
  return {
    publicKey: publicKeyFromBytes(Buffer.from(values['public_key'] ?? '', 'hex')),
    ...(presharedKey && { presharedKey }),
    ...(endpoint && { endpoint }),
    allowedIPs: allowedIPs.flatMap((text) => parsePrefix(text) ?? []).toSorted(),
    keepalive: Number(values['persistent_keepalive_interval'] ?? 0),
    ...(seconds === 0 ? {} : { lastHandshake: seconds * 1000 + nanoseconds / 1e6 }),
  };
}

function secretOf(text: string | undefined): Secret | undefined {
  return text === undefined || !/^[0-9a-f]{64}$/.test(text) || /^0*$/.test(text)
    ? undefined
    : new Secret(Buffer.from(text, 'hex'));
}

const hex = (secret: Secret): string => Buffer.from(secret.reveal()).toString('hex');
const publicHex = (key: PublicKey): string => Buffer.from(publicKeyBytes(key)).toString('hex');
