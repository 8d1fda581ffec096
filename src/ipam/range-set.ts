import { type Address, addressToInteger, familyOf, parseAddress } from '../net/address.ts';
import { parsePrefix, prefixAddress } from '../net/prefix.ts';
import { IpamError } from './error.ts';
import { describeRange, parseRange, type Range, type RangeConfiguration, rangesOverlap } from './range.ts';

/** Alternative ranges of one family: an attachment gets one address out of each set. */
export type RangeSet = readonly Range[];

export interface RangeSetsConfiguration {
  /** `runtimeConfig.ipRanges` */
  readonly ipRanges?: readonly (readonly RangeConfiguration[])[] | undefined;
  /** The old style: `subnet`, `rangeStart`, `rangeEnd` and `gateway` right in `ipam`. Without subnet it counts as absent. */
  readonly single?: RangeConfiguration | undefined;
  /** `ipam.ranges` */
  readonly ranges?: readonly (readonly RangeConfiguration[])[] | undefined;
  readonly cniVersion: string;
}

/**
 * The sets in host-local's order: ipRanges, the old style, ranges. The place in this order names the
 * file `last_reserved_ip.<n>`. Throws an {@link IpamError} in host-local's words.
 */
export function parseRangeSets(configuration: RangeSetsConfiguration): RangeSet[] {
  const { ipRanges = [], single, ranges = [], cniVersion } = configuration;
  const written = [...ipRanges, ...(single?.subnet === undefined ? [] : [[single]]), ...ranges];
  if (written.length === 0) throw invalid('no IP ranges specified');
  const sets = written.map((set, index) => parseNumbered(set, index));
  refuseSecondAddress(sets, cniVersion);
  for (const [i, one] of sets.entries()) {
    const j = sets.findIndex((other, at) => at > i && setsOverlap(one, other));
    if (j !== -1) throw invalid(`range set ${i} overlaps with ${j}`);
  }
  return sets;
}

/** One set. Throws an {@link IpamError} in host-local's words. */
export function parseRangeSet(written: readonly RangeConfiguration[]): RangeSet {
  if (written.length === 0) throw invalid('empty range set');
  const set: Range[] = [];
  for (const configuration of written) {
    const range = parseRange(configuration);
    if (set[0] !== undefined && set[0].family !== range.family) throw invalid('mixed address families');
    set.push(range);
  }
  for (const [i, one] of set.entries()) {
    const other = set.slice(i + 1).find((candidate) => rangesOverlap(one, candidate));
    if (other) throw invalid(`subnets ${describeRange(one)} and ${describeRange(other)} overlap`);
  }
  return set;
}

/** The range of the set that holds the address. */
export function rangeFor(set: RangeSet, address: Address): Range | undefined {
  const family = familyOf(address);
  const value = addressToInteger(address);
  return set.find((range) => range.family === family && range.first <= value && value <= range.last);
}

export function setsOverlap(one: RangeSet, other: RangeSet): boolean {
  return one.some((range) => other.some((candidate) => rangesOverlap(range, candidate)));
}

/** `10.0.0.1-10.0.0.6,10.0.1.1-10.0.1.6` */
export const describeRangeSet = (set: RangeSet): string => set.map(describeRange).join(',');

/**
 * The addresses that were asked for, in host-local's order: `IP` of CNI_ARGS, `args.cni.ips`,
 * `runtimeConfig.ips`; none takes precedence. Each is an address, with or without a prefix length, which
 * says nothing here. Throws an {@link IpamError} in host-local's words.
 */
export function parseRequested(
  cniArgsIP: string | undefined,
  argsIPs: readonly string[] = [],
  runtimeIPs: readonly string[] = [],
): Address[] {
  const fromArgs = cniArgsIP === undefined || cniArgsIP === '' ? [] : [cniArgsIP];
  return [...fromArgs, ...argsIPs, ...runtimeIPs].map(parseIP);
}

function parseIP(text: string): Address {
  if (text === '') throw invalid('cannot understand ip: IP <nil> not v4 nor v6');
  const prefix = parsePrefix(text);
  const address = prefix === undefined ? parseAddress(text) : prefixAddress(prefix);
  if (address === undefined) throw invalid(`invalid IP address ${text}`);
  return address;
}

function parseNumbered(set: readonly RangeConfiguration[], index: number): RangeSet {
  try {
    return parseRangeSet(set);
  } catch (error) {
    if (!(error instanceof IpamError)) throw error;
    throw invalid(`invalid range set ${index}: ${error.message}`);
  }
}

/** A result of CNI 0.2.0 and older has room for one address of each family. */
function refuseSecondAddress(sets: readonly RangeSet[], cniVersion: string): void {
  if (!['', '0.1.0', '0.2.0'].includes(cniVersion)) return;
  const ipv4 = sets.filter((set) => set[0]?.family === 4).length;
  if (ipv4 > 1 || sets.length - ipv4 > 1) {
    throw invalid(`CNI version ${cniVersion} does not support more than 1 address per family`);
  }
}

const invalid = (message: string) => new IpamError('CONFIGURATION', message);
