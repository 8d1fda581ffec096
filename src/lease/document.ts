import { asObject, foldKeys, JsonError, type JsonObject, kindOf, parseJson } from '../json/go-json.ts';
import { type Address, type Family, familyOf, parseAddress } from '../net/address.ts';
import { isNetwork, networkOf, type Prefix, parsePrefix, prefixFamily } from '../net/prefix.ts';
import type { Entry } from './registry.ts';
import type { Lease, LeaseAttributes } from './lease.ts';

const keys = [
  'Subnet',
  'IPv6Subnet',
  'PublicIP',
  'PublicIPv6',
  'BackendType',
  'BackendData',
  'BackendV6Data',
] as const;

/** A lease as an object for JSON. The names are those of Go flannel's leases in etcd. */
export function leaseObject({ subnet, ipv6Subnet, attributes }: Lease): JsonObject {
  return {
    Subnet: subnet,
    IPv6Subnet: ipv6Subnet,
    PublicIP: attributes.publicIP,
    PublicIPv6: attributes.publicIPv6,
    BackendType: attributes.backendType,
    BackendData: attributes.backendData,
    BackendV6Data: attributes.backendV6Data,
  };
}

/** A node's lease as the directory registry keeps it: readable for people. */
export function leaseDocument(lease: Lease): string {
  return `${JSON.stringify(leaseObject(lease), undefined, 2)}\n`;
}

/** Reads what a node has written: a lease, or why it is none. `id` is the node's name. */
export function parseLeaseDocument(id: string, bytes: string | Uint8Array): Entry {
  return orReason(() => parseLeaseObject(id, parseJson(bytes, 'the document')));
}

/** Reads one that is part of a larger document. */
export function parseLeaseObject(id: string, value: unknown): Entry {
  return orReason(() => ({ lease: leaseOf(id, foldKeys(asObject(value, 'the document'), keys)) }));
}

/** The attributes alone, without subnets: the value of a lease in etcd. Throws a {@link JsonError}. */
export function parseLeaseAttributes(bytes: Uint8Array): LeaseAttributes {
  return attributesOf(foldKeys(asObject(parseJson(bytes, 'the value'), 'the value'), keys));
}

/**
 * Subnets that are named in a document, whatever else is wrong with it: for not giving them away. Strings that are no
 * subnets do not count.
 */
export function subnetsNamed(bytes: Uint8Array): Prefix[] {
  const text = Buffer.from(bytes).toString('latin1');
  return [...text.matchAll(/"([0-9a-fA-F.:]{2,39}\/[0-9]{1,3})"/g)].flatMap(([, written = '']) => {
    const prefix = parsePrefix(written);
    return prefix === undefined ? [] : [networkOf(prefix)];
  });
}

function orReason(read: () => Entry): Entry {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return { unreadable: error.message };
  }
}

function leaseOf(id: string, fields: JsonObject): Lease {
  const subnet = subnetField(fields, 'Subnet', 4);
  const ipv6Subnet = subnetField(fields, 'IPv6Subnet', 6);
  if (subnet === undefined && ipv6Subnet === undefined) {
    throw new JsonError('it has neither Subnet nor IPv6Subnet');
  }
  return {
    id,
    ...(subnet !== undefined && { subnet }),
    ...(ipv6Subnet !== undefined && { ipv6Subnet }),
    attributes: attributesOf(fields),
  };
}

function attributesOf(fields: JsonObject): LeaseAttributes {
  const publicIP = addressField(fields, 'PublicIP', 4);
  const publicIPv6 = addressField(fields, 'PublicIPv6', 6);
  return {
    ...(publicIP !== undefined && { publicIP }),
    ...(publicIPv6 !== undefined && { publicIPv6 }),
    backendType: textField(fields, 'BackendType') ?? '',
    ...('BackendData' in fields && { backendData: fields['BackendData'] }),
    ...('BackendV6Data' in fields && { backendV6Data: fields['BackendV6Data'] }),
  };
}

function textField(fields: JsonObject, key: string): string | undefined {
  const value = fields[key];
  if (value === undefined || typeof value === 'string') return value;
  throw new JsonError(`${key} must be a string, and is ${kindOf(value)}`);
}

function subnetField(fields: JsonObject, key: string, family: Family): Prefix | undefined {
  const text = textField(fields, key);
  if (text === undefined) return undefined;
  const prefix = parsePrefix(text);
  if (prefix === undefined || prefixFamily(prefix) !== family) {
    throw new JsonError(`${key} ${JSON.stringify(text)} is no IPv${family} address with a prefix length`);
  }
  if (!isNetwork(prefix)) throw new JsonError(`${key} ${text} has host bits set`);
  return prefix;
}

function addressField(fields: JsonObject, key: string, family: Family): Address | undefined {
  const text = textField(fields, key);
  if (text === undefined) return undefined;
  const address = parseAddress(text);
  if (address !== undefined && familyOf(address) === family) return address;
  throw new JsonError(`${key} ${JSON.stringify(text)} is no IPv${family} address`);
}
