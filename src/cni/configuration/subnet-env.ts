import { networkOf, type Prefix, parsePrefix, prefixFamily } from '../../net/prefix.ts';
import { CniError, cniCodes } from '../error.ts';

/** What flanneld tells plugins in its subnet file. */
export interface SubnetEnv {
  readonly networks: readonly Prefix[];
  readonly ipv6Networks: readonly Prefix[];
  readonly subnet?: Prefix;
  readonly ipv6Subnet?: Prefix;
  /** Bytes. */
  readonly mtu: number;
  /** flanneld masquerades, so the plugin need not. */
  readonly ipMasq: boolean;
}

/**
 * Reads the file's text (`file` for messages). Throws a {@link CniError}: 11 for a file that is not there or not
 * complete, which flanneld will mend; 7 for one that makes no sense.
 */
export function parseSubnetEnv(text: string | undefined, file: string): SubnetEnv {
  if (text === undefined) {
    throw new CniError(
      cniCodes.tryAgainLater,
      `${file} does not exist yet: flanneld writes it when it has a lease`,
      'see whether flanneld runs on this node, and what its log says',
    );
  }
  const values = new Map(text.split('\n').flatMap(lineOf));
  const networks = prefixes(values, 'FLANNEL_NETWORK', 4, file);
  const ipv6Networks = prefixes(values, 'FLANNEL_IPV6_NETWORK', 6, file);
  const [subnet] = prefixes(values, 'FLANNEL_SUBNET', 4, file);
  const [ipv6Subnet] = prefixes(values, 'FLANNEL_IPV6_SUBNET', 6, file);
  const missing = [
    ...(networks.length + ipv6Networks.length === 0 ? ['FLANNEL_NETWORK'] : []),
    ...(subnet === undefined && ipv6Subnet === undefined ? ['FLANNEL_SUBNET'] : []),
    ...['FLANNEL_MTU', 'FLANNEL_IPMASQ'].filter((key) => (values.get(key) ?? '') === ''),
  ];
  if (missing.length > 0) {
    throw new CniError(
      cniCodes.tryAgainLater,
      `${file} is not complete: ${missing.join(', ')} missing`,
      'flanneld writes the file anew when it starts; see its log',
    );
  }
  return {
    networks,
    ipv6Networks,
    ...(subnet !== undefined && { subnet: networkOf(subnet) }),
    ...(ipv6Subnet !== undefined && { ipv6Subnet: networkOf(ipv6Subnet) }),
    mtu: mtuOf(values.get('FLANNEL_MTU') ?? '', file),
    ipMasq: values.get('FLANNEL_IPMASQ') === 'true',
  };
}

function lineOf(line: string): [string, string][] {
  const equals = line.indexOf('=');
  return equals <= 0 ? [] : [[line.slice(0, equals).trim(), line.slice(equals + 1).trim()]];
}

/** A list with commas, without its duplicates. */
function prefixes(values: ReadonlyMap<string, string>, key: string, family: 4 | 6, file: string): Prefix[] {
  const texts = (values.get(key) ?? '').split(',').map((text) => text.trim());
  const parsed = texts.filter(Boolean).map((text) => {
    const prefix = parsePrefix(text);
    if (prefix !== undefined && prefixFamily(prefix) === family) return prefix;
    throw nonsense(file, key, text, `an IPv${family} address with a prefix length`);
  });
  return [...new Set(parsed)];
}

function mtuOf(text: string, file: string): number {
  const mtu = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (mtu <= 0xffff_ffff) return mtu;
  throw nonsense(file, 'FLANNEL_MTU', text, 'a number of bytes');
}

const nonsense = (file: string, key: string, text: string, wanted: string): CniError =>
  new CniError(
    cniCodes.badConfiguration,
    `${file}: ${key}=${text} is not ${wanted}`,
    'flanneld writes the file anew when it starts',
  );
