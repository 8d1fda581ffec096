import { IpamError } from './error.ts';
import type { Files } from './files.ts';

/** A CNI result's `dns`; what is empty is left out. */
export interface Dns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}

/** Reads resolv.conf(5) for `ipam.resolvConf`. Throws an {@link IpamError} that names the file. */
export function readResolvConf(file: string, files: Pick<Files, 'readFileSync'>): Dns {
  try {
    return parseResolvConf(files.readFileSync(file, 'utf8'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new IpamError(
      'CONFIGURATION',
      `cannot read resolvConf ${file} of the ipam configuration: ${reason}`,
      {
        cause: error,
      },
    );
  }
}

/** As host-local: unknown and incomplete lines are skipped, the last domain wins, lists add up. */
export function parseResolvConf(text: string): Dns {
  const dns: Dns = {};
  for (const line of text.split('\n')) {
    const [keyword = '', ...values] = line.trim().split(/\s+/);
    const [first] = values;
    if (first === undefined || /^[#;]/.test(keyword)) continue;
    if (keyword === 'nameserver') dns.nameservers = [...(dns.nameservers ?? []), first];
    else if (keyword === 'domain') dns.domain = first;
    else if (keyword === 'search') dns.search = [...(dns.search ?? []), ...values];
    else if (keyword === 'options') dns.options = [...(dns.options ?? []), ...values];
  }
  return dns;
}
