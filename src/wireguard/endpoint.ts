import { type Address, familyOf, parseAddress } from '../net/address.ts';

/** Where a peer is reached by UDP, as wg(8) shows it: `192.0.2.1:51820`, `[2001:db8::1]:51820`. Canonical. */
export type Endpoint = string & { readonly endpoint: unique symbol };

export function endpointOf(address: Address, port: number): Endpoint {
  return (familyOf(address) === 4 ? `${address}:${port}` : `[${address}]:${port}`) as Endpoint;
}

/** Undefined for what is no address with a port, and for an address with a zone. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const address = parseAddress(bracketed ?? plain ?? '');
  const port = Number(digits);
  return address === undefined || port > 65_535 ? undefined : endpointOf(address, port);
}

export function endpointParts(endpoint: Endpoint): { address: Address; port: number } {
  const colon = endpoint.lastIndexOf(':');
  const address = endpoint.slice(0, colon).replace(/^\[|\]$/g, '') as Address;
  return { address, port: Number(endpoint.slice(colon + 1)) };
}
