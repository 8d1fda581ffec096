import type { Dns } from '../ipam/resolv-conf.ts';
import type { Family } from '../net/address.ts';
import { prefixFamily } from '../net/prefix.ts';
import type { PlannedAddress, PlannedRoute } from './attachment/attachment.ts';
import { isAtLeast } from './version.ts';

/** A result of the current CNI version: what a verb knows, whatever version is asked for. */
export interface Result {
  interfaces: readonly { name: string; mac?: string | undefined; sandbox?: string | undefined }[];
  ips: readonly (PlannedAddress & { interface?: number | undefined })[];
  routes: readonly PlannedRoute[];
  dns?: Dns | undefined;
}

/**
 * The document that a container runtime gets, in the version that it asked for, printed as the reference prints it.
 * Throws an Error when that version has no words for it.
 */
export function resultDocument(result: Result, cniVersion: string): string {
  return JSON.stringify(inVersion(result, cniVersion), undefined, 4);
}

function inVersion(result: Result, cniVersion: string): object {
  if (!isAtLeast(cniVersion, '0.3.0')) return oneAddressEach(result, cniVersion);
  const { interfaces, routes, dns = {} } = result;
  const ips = isAtLeast(cniVersion, '1.0.0') ? result.ips : result.ips.map(withFamily);
  const emptyDns = Object.keys(dns).length === 0 && isAtLeast(cniVersion, '1.0.0');
  return {
    cniVersion,
    ...listed('interfaces', interfaces),
    ...listed('ips', ips),
    ...listed('routes', routes),
    ...(!emptyDns && { dns }),
  };
}

/** Until 1.0.0 an address says its family. */
const withFamily = (ip: Result['ips'][number]) => ({ version: String(prefixFamily(ip.address)), ...ip });

const listed = (key: string, values: readonly unknown[]) => values.length > 0 && { [key]: values };

/** 0.1.0 and 0.2.0: the first address of each family with its routes, and no interfaces. */
function oneAddressEach({ ips, routes, dns = {} }: Result, cniVersion: string): object {
  const part = (family: Family) => {
    const ip = ips.find(({ address }) => prefixFamily(address) === family);
    if (ip === undefined) return undefined;
    const own = routes.filter(({ dst }) => prefixFamily(dst) === family).map(({ dst, gw }) => ({ dst, gw }));
    return { ip: ip.address, gateway: ip.gateway, ...listed('routes', own) };
  };
  const [ip4, ip6] = [part(4), part(6)];
  if (ip4 === undefined && ip6 === undefined) throw new Error('cannot convert: no valid IP addresses');
  return { cniVersion, ip4, ip6, dns };
}
