/** A CNI result's `dns`; what is empty is left out. */
export interface Dns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}

/** resolv.conf(5) as host-local reads it for `ipam.resolvConf`: unknown and incomplete lines are skipped, the last domain wins, lists add up. */
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
