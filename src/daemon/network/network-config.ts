import {
  asObject,
  foldKeys,
  isObject,
  JsonError,
  type JsonObject,
  kindOf,
  parseJson,
} from '../../json/go-json.ts';
import type { SubnetRange } from '../../lease/allocate.ts';
import type { PodNetwork } from '../../lease/lease.ts';
import {
  type Address,
  addressBits,
  addressFromInteger,
  addressToInteger,
  type Family,
  familyOf,
  parseAddress,
} from '../../net/address.ts';
import {
  containsAddress,
  firstAddress,
  lastAddress,
  networkOf,
  type Prefix,
  parsePrefix,
  prefixFamily,
  prefixLength,
} from '../../net/prefix.ts';

/** net-conf.json, checked. */
export interface NetworkConfig {
  readonly network: PodNetwork;
  /** Which subnets nodes may have, for registries that hand them out. */
  readonly ranges: { readonly ipv4?: SubnetRange; readonly ipv6?: SubnetRange };
  readonly enableNFTables: boolean;
  /** `Type` of the Backend object, in lower case; `udp` without one, as in Go flannel. */
  readonly backendType: string;
  /** The Backend object as it is written. */
  readonly backend: JsonObject;
}

/** The IP versions of the network. */
export const familiesOf = ({ network: { ipv4, ipv6 } }: Pick<NetworkConfig, 'network'>): Family[] => [
  ...(ipv4 ? [4 as const] : []),
  ...(ipv6 ? [6 as const] : []),
];

/** The configuration cannot be used: one finding a line, each with its key, what is wrong and what to do. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  readonly findings: readonly string[];

  /** `source` is the file in which all of them are. */
  constructor(source: string | undefined, findings: readonly string[]) {
    super(findings.map((finding) => (source === undefined ? finding : `${source}: ${finding}`)).join('\n'));
    this.findings = findings;
  }
}

const keys = [
  'Network',
  'IPv6Network',
  'EnableIPv4',
  'EnableIPv6',
  'EnableNFTables',
  'SubnetLen',
  'SubnetMin',
  'SubnetMax',
  'IPv6SubnetLen',
  'IPv6SubnetMin',
  'IPv6SubnetMax',
  'Backend',
];

/** What the two families' keys are called, and their limits. */
const families = [
  {
    family: 4,
    key: 'ipv4',
    network: 'Network',
    enable: 'EnableIPv4',
    byDefault: true,
    length: 'SubnetLen',
    min: 'SubnetMin',
    max: 'SubnetMax',
    usualLength: 24,
    longest: 30,
    example: '10.244.0.0/16',
  },
  {
    family: 6,
    key: 'ipv6',
    network: 'IPv6Network',
    enable: 'EnableIPv6',
    byDefault: false,
    length: 'IPv6SubnetLen',
    min: 'IPv6SubnetMin',
    max: 'IPv6SubnetMax',
    usualLength: 64,
    longest: 126,
    example: 'fd00:10:244::/56',
  },
] as const;
type FamilyKeys = (typeof families)[number];

/**
 * Reads the fields of net-conf.json as Go flannel does (keys in any letter case, unknown ones ignored), with all of its checks.
 * `source` is the file's name. Throws a {@link ConfigurationError} with every finding.
 */
export function networkConfigOf(fields: JsonObject, source: string): NetworkConfig {
  const reader = new Reader(fields);
  const network: { ipv4?: Prefix; ipv6?: Prefix } = {};
  const ranges: { ipv4?: SubnetRange; ipv6?: SubnetRange } = {};
  for (const family of families) {
    if (!(reader.boolean(family.enable) ?? family.byDefault)) continue;
    const prefix = reader.network(family);
    if (prefix === undefined) continue;
    network[family.key] = prefix;
    const range = reader.range(family, prefix);
    if (range !== undefined) ranges[family.key] = range;
  }
  const none = families.every(({ enable, byDefault }) => !(reader.boolean(enable) ?? byDefault));
  if (none) reader.findings.push('EnableIPv4 and EnableIPv6 are both false: enable at least one');
  const { type, backend } = reader.backend();
  const enableNFTables = reader.boolean('EnableNFTables') ?? false;
  if (reader.findings.length > 0) throw new ConfigurationError(source, [...new Set(reader.findings)]);
  return { network, ranges, enableNFTables, backendType: type, backend };
}

/** net-conf.json's keys, spelt as flannel's documents do, before any check. Throws a {@link ConfigurationError}. */
export function networkFields(text: string | Uint8Array, source: string): JsonObject {
  try {
    return foldKeys(asObject(parseJson(text, 'the file'), 'the file'), keys);
  } catch (error) {
    if (error instanceof JsonError) throw new ConfigurationError(source, [error.message]);
    throw error;
  }
}

/** Collects findings instead of stopping at the first. */
class Reader {
  readonly findings: string[] = [];
  readonly #fields: JsonObject;

  constructor(fields: JsonObject) {
    this.#fields = fields;
  }

  boolean(key: string): boolean | undefined {
    const value = this.#fields[key];
    if (value === undefined || typeof value === 'boolean') return value;
    return this.#find(`${key} must be true or false, and is ${kindOf(value)}`);
  }

  network({ network: key, enable, family, example }: FamilyKeys): Prefix | undefined {
    const text = this.#text(key);
    if (text === undefined) {
      if (this.#fields[key] === undefined) {
        this.#find(`${key} is missing, for example "${example}"; or set ${enable} to false`);
      }
      return undefined;
    }
    const prefix = parsePrefix(text);
    if (prefix !== undefined && prefixFamily(prefix) === family) return networkOf(prefix);
    return this.#find(`${key} ${JSON.stringify(text)} is no IPv${family} address with a prefix length`);
  }

  range(names: FamilyKeys, network: Prefix): SubnetRange | undefined {
    const length = this.#length(names, network);
    if (length === undefined) return undefined;
    const size = 1n << BigInt(addressBits(names.family) - length);
    const at = (value: bigint): Address => addressFromInteger(value, names.family);
    const min =
      this.#bound(names.min, names, network, size) ?? at(addressToInteger(firstAddress(network)) + size);
    const max =
      this.#bound(names.max, names, network, size) ?? at(addressToInteger(lastAddress(network)) + 1n - size);
    if (addressToInteger(min) > addressToInteger(max)) {
      return this.#find(`${names.min} ${min} is above ${names.max} ${max}`);
    }
    return { length, min, max };
  }

  backend(): { type: string; backend: JsonObject } {
    const value = this.#fields['Backend'];
    if (value === undefined) return { type: 'udp', backend: {} };
    if (!isObject(value)) {
      this.#find(`Backend must be an object such as {"Type": "vxlan"}, and is ${kindOf(value)}`);
      return { type: '', backend: {} };
    }
    const backend = foldKeys(value, ['Type']);
    const { Type: type } = backend;
    if (typeof type === 'string' && type !== '') return { type: type.toLowerCase(), backend };
    this.#find('Backend.Type is missing: name a backend, for example "vxlan"');
    return { type: '', backend };
  }

  /** Absent: the usual length, or two more than the network's where that leaves no room. */
  #length(names: FamilyKeys, network: Prefix): number | undefined {
    const { length: key, usualLength, longest } = names;
    const own = prefixLength(network);
    const value = this.#fields[key];
    if (value === undefined) {
      if (own > longest - 2) {
        return this.#find(
          `${names.network} ${network} is too small for subnets: its length may be ${longest - 2} at most`,
        );
      }
      return own <= usualLength - 2 ? usualLength : own + 2;
    }
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) {
      return this.#find(`${key} must be a whole number, and is ${JSON.stringify(value)}`);
    }
    if (value >= own + 2 && value <= longest) return value;
    return this.#find(
      `${key} ${value} does not fit ${names.network} ${network}: it may be from ${own + 2} to ${longest}`,
    );
  }

  #bound(key: string, { family }: FamilyKeys, network: Prefix, size: bigint): Address | undefined {
    const text = this.#text(key);
    if (text === undefined || text === '') return undefined;
    const address = parseAddress(text);
    if (address === undefined || familyOf(address) !== family) {
      return this.#find(`${key} ${JSON.stringify(text)} is no IPv${family} address`);
    }
    if (!containsAddress(network, address)) return this.#find(`${key} ${address} is outside of ${network}`);
    if (addressToInteger(address) % size === 0n) return address;
    return this.#find(`${key} ${address} is not the first address of a subnet`);
  }

  #text(key: string): string | undefined {
    const value = this.#fields[key];
    if (value === undefined || typeof value === 'string') return value;
    return this.#find(`${key} must be a string, and is ${kindOf(value)}`);
  }

  #find(finding: string): undefined {
    this.findings.push(finding);
    return undefined;
  }
}
