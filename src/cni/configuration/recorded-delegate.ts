import path from 'node:path';
import type { MasqueradeBackend } from '../../firewall/pod-masquerade.ts';
import { isObject } from '../../json/go-json.ts';

/** Where host-local keeps addresses when the configuration does not say. */
export const defaultIpamDataDir = '/var/lib/cni/networks';

/** What matters for a DEL in a delegate's configuration that was written at ADD, by us or by Go's flannel. */
export interface RecordedDelegate {
  network: string;
  type: string;
  ipamType: string;
  ipamDataDir: string;
  ipMasq: boolean;
  ipMasqBackend?: MasqueradeBackend | undefined;
  /** As it was written. */
  text: string;
}

/** Undefined for a file that is not there, or holds no such thing: torn by a power failure, for one. */
export function readDelegate(text: string | undefined): RecordedDelegate | undefined {
  if (text === undefined) return undefined;
  const delegate = parse(text);
  if (!isObject(delegate) || typeof delegate['name'] !== 'string') return undefined;
  const ipam = isObject(delegate['ipam']) ? delegate['ipam'] : {};
  const backend = delegate['ipMasqBackend'];
  return {
    network: delegate['name'],
    type: stringOr(delegate['type'], 'bridge'),
    ipamType: stringOr(ipam['type'], ''),
    // Go's host-local takes a relative one, and container runtimes work in `/`.
    ipamDataDir: path.resolve('/', stringOr(ipam['dataDir'], defaultIpamDataDir)),
    ipMasq: delegate['ipMasq'] === true,
    ipMasqBackend: backend === 'iptables' || backend === 'nftables' ? backend : undefined,
    text,
  };
}

/** The delegate is done inside; any other is another program's. */
export const isInside = ({ type, ipamType }: Pick<RecordedDelegate, 'type' | 'ipamType'>): boolean =>
  type === 'bridge' && ipamType === 'host-local';

/** The backends whose rules may be there, when nobody wrote down which it was. */
export const possibleBackends = (
  ipMasq: boolean,
  backend: MasqueradeBackend | undefined,
): MasqueradeBackend[] => {
  if (!ipMasq) return [];
  return backend === undefined ? ['iptables', 'nftables'] : [backend];
};

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

const stringOr = (value: unknown, otherwise: string): string =>
  typeof value === 'string' && value !== '' ? value : otherwise;
