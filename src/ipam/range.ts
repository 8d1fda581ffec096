import {
  type Address,
  addressBits,
  addressFromInteger,
  addressToInteger,
  type Family,
  parseAddress,
} from '../net/address.ts';
import {
  containsAddress,
  firstAddress,
  lastAddress,
  type Prefix,
  parsePrefix,
  prefixAddress,
  prefixFamily,
  prefixLength,
} from '../net/prefix.ts';
import { IpamError } from './error.ts';

/** A range as a configuration writes it; an empty text counts as absent, as it does for Go's net.IP. */
export interface RangeConfiguration {
  readonly subnet?: string | undefined;
  readonly rangeStart?: string | undefined;
  readonly rangeEnd?: string | undefined;
  readonly gateway?: string | undefined;
}

/** Addresses `rangeStart` to `rangeEnd`, both included, of one subnet. Only the gateway is not handed out. */
export interface Range {
  readonly family: Family;
  readonly subnet: Prefix;
  readonly rangeStart: Address;
  readonly rangeEnd: Address;
  /** Not necessarily inside the subnet. */
  readonly gateway: Address;
  /** `rangeStart`, `rangeEnd` and `gateway` as integers. */
  readonly first: bigint;
  readonly last: bigint;
  readonly gatewayInteger: bigint;
}

/** Completes a range as host-local does. Throws an {@link IpamError} in host-local's words. */
export function parseRange(configuration: RangeConfiguration): Range {
  const subnet = parseSubnet(configuration.subnet);
  const family = prefixFamily(subnet);
  const network = addressToInteger(prefixAddress(subnet));
  const gateway = parseIP(configuration.gateway) ?? addressFromInteger(network + 1n, family);
  const start = parseIP(configuration.rangeStart);
  const end = parseIP(configuration.rangeEnd);
  const rangeStart = start ?? addressFromInteger(network + 1n, family);
  const broadcast = addressToInteger(lastAddress(subnet));
  const rangeEnd = end ?? addressFromInteger(family === 4 ? broadcast - 1n : broadcast, family);
  const first = addressToInteger(rangeStart);
  const last = addressToInteger(rangeEnd);
  // Also for a start above the default end (IPv4's broadcast address), where host-local walks out of the subnet.
  if (start !== undefined && (first > last || !containsAddress(subnet, start))) {
    throw invalid(`RangeStart ${start} not in network ${subnet}`);
  }
  if (end !== undefined && (first > last || !containsAddress(subnet, end))) {
    throw invalid(`RangeEnd ${end} not in network ${subnet}`);
  }
  return {
    family,
    subnet,
    rangeStart,
    rangeEnd,
    gateway,
    first,
    last,
    gatewayInteger: addressToInteger(gateway),
  };
}

/** `10.244.1.1-10.244.1.254` */
export const describeRange = (range: Range): string => `${range.rangeStart}-${range.rangeEnd}`;

export function rangesOverlap(one: Range, other: Range): boolean {
  return one.family === other.family && one.first <= other.last && other.first <= one.last;
}

function parseSubnet(text: string | undefined): Prefix {
  if (text === undefined) throw invalid('IP <nil> not v4 nor v6');
  const subnet = parsePrefix(text);
  if (subnet === undefined) throw invalid(`invalid CIDR address: ${text}`);
  const length = prefixLength(subnet);
  if (length > addressBits(prefixFamily(subnet)) - 2) {
    throw invalid(`Network ${subnet} too small to allocate from`);
  }
  const network = firstAddress(subnet);
  if (network !== prefixAddress(subnet)) {
    throw invalid(
      `Network has host bits set. For a subnet mask of length ${length} the network address is ${network}`,
    );
  }
  return subnet;
}

function parseIP(text: string | undefined): Address | undefined {
  if (text === undefined || text === '') return undefined;
  const address = parseAddress(text);
  if (address === undefined) throw invalid(`invalid IP address: ${text}`);
  return address;
}

const invalid = (message: string) => new IpamError('CONFIGURATION', message);
