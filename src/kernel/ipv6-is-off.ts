/** What to look at when the kernel refuses anything IPv6. */
export const ipv6IsOff = (link = 'all'): string =>
  `IPv6 may be switched off: see "sysctl net.ipv6.conf.${link}.disable_ipv6"`;
