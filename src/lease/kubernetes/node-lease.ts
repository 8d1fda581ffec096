import { goJson, JsonError, parseJson } from '../../json/go-json.ts';
import { type Address, type Family, familyOf, isUnspecified, parseAddress } from '../../net/address.ts';
import { networkOf, parsePrefix, type Prefix, prefixFamily } from '../../net/prefix.ts';
import type { Lease, LeaseAttributes, PodNetwork } from '../lease.ts';
import type { Entry } from '../registry.ts';
import type { AnnotationKeys } from './annotations.ts';
import type { NodeObject } from './node-object.ts';

/**
 * A Node's lease, or why it is none; undefined for a node that flannel does not manage. Only what the families of the network
 * need is read: an IPv6 address that makes no sense harms nobody in an IPv4 network.
 */
export function leaseOfNode(node: NodeObject, keys: AnnotationKeys, network: PodNetwork): Entry | undefined {
  if (node.annotations.get(keys.managed) !== 'true') return undefined;
  try {
    return { lease: read(node, keys, network) };
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return { unreadable: error.message };
  }
}

/** The node's subnets: of each family the first. Throws a {@link JsonError} for one that is none. */
export function subnetsOf({ podCIDRs }: NodeObject): { subnet?: Prefix; ipv6Subnet?: Prefix } {
  if (podCIDRs.length > 2)
    throw new JsonError(`it has ${podCIDRs.length} podCIDRs, one of each family is allowed`);
  const prefixes = podCIDRs.map((text) => {
    const prefix = parsePrefix(text);
    if (prefix === undefined)
      throw new JsonError(`its podCIDR ${quote(text)} is no address with a prefix length`);
    return networkOf(prefix);
  });
  const subnet = prefixes.find((prefix) => prefixFamily(prefix) === 4);
  const ipv6Subnet = prefixes.find((prefix) => prefixFamily(prefix) === 6);
  return { ...(subnet && { subnet }), ...(ipv6Subnet && { ipv6Subnet }) };
}

function read(node: NodeObject, keys: AnnotationKeys, network: PodNetwork): Lease {
  const subnets = subnetsOf(node);
  if (node.podCIDRs.length === 0) throw new JsonError('it has no podCIDR');
  const publicIP = network.ipv4 && addressIn(node, keys.publicIP, 4);
  const publicIPv6 = network.ipv6 && addressIn(node, keys.publicIPv6, 6);
  const backendData = network.ipv4 && jsonIn(node, keys.backendData);
  const backendV6Data = network.ipv6 && jsonIn(node, keys.backendV6Data);
  return {
    id: node.name,
    ...subnets,
    attributes: {
      ...(publicIP && { publicIP }),
      ...(publicIPv6 && { publicIPv6 }),
      backendType: node.annotations.get(keys.backendType) ?? '',
      ...(backendData !== undefined && { backendData }),
      ...(backendV6Data !== undefined && { backendV6Data }),
    },
  };
}

/** Where an administrator wants this node to be reached. */
export interface PublicAddresses {
  readonly publicIP?: Address;
  readonly publicIPv6?: Address;
}

/** From `node-public-ip` and `node-public-ipv6`. Throws a {@link JsonError} for what is no address. */
export function publicAddressesOf(node: NodeObject, keys: AnnotationKeys): PublicAddresses {
  const publicIP = addressIn(node, keys.nodePublicIP, 4);
  const publicIPv6 = addressIn(node, keys.nodePublicIPv6, 6);
  return { ...(publicIP && { publicIP }), ...(publicIPv6 && { publicIPv6 }) };
}

/** Go flannel writes 0.0.0.0 where there is none. */
function addressIn({ annotations }: NodeObject, key: string, family: Family): Address | undefined {
  const text = annotations.get(key);
  if (text === undefined || text === '') return undefined;
  const address = parseAddress(text);
  if (address === undefined || familyOf(address) !== family) {
    throw new JsonError(`its annotation ${key}, ${quote(text)}, is no IPv${family} address`);
  }
  return isUnspecified(address) ? undefined : address;
}

/** What a backend has to say, `null` for nothing. */
function jsonIn({ annotations }: NodeObject, key: string): unknown {
  const text = annotations.get(key);
  if (text === undefined || text === '') return undefined;
  return parseJson(text, `its annotation ${key}`) ?? undefined;
}

/** What was read, for people: never long. */
const quote = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);

/**
 * The annotations that tell peers about this node, byte for byte as Go flannel writes them: its peers compare the texts. What an
 * administrator has put in the place of an address is taken instead.
 */
export function annotationsOf(
  attributes: LeaseAttributes,
  { annotations }: NodeObject,
  keys: AnnotationKeys,
): Record<string, string> {
  const { backendType, publicIP, publicIPv6, backendData, backendV6Data } = attributes;
  const overwrite = annotations.get(keys.publicIPOverwrite) || undefined;
  const v6Overwrite = annotations.get(keys.publicIPv6Overwrite) || undefined;
  return {
    [keys.managed]: 'true',
    [keys.backendType]: backendType,
    ...(tellsIPv4(attributes) && {
      [keys.backendData]: goJson(backendData),
      [keys.publicIP]: overwrite ?? publicIP ?? '0.0.0.0',
    }),
    ...(tellsIPv6(attributes) && {
      [keys.backendV6Data]: goJson(backendV6Data),
      [keys.publicIPv6]: v6Overwrite ?? publicIPv6 ?? '::',
    }),
  };
}

const tellsIPv4 = ({ backendType, backendData }: LeaseAttributes): boolean =>
  backendType !== 'vxlan' || backendData !== undefined;

function tellsIPv6({ backendType, backendV6Data, publicIPv6 }: LeaseAttributes): boolean {
  if (backendType === 'vxlan') return backendV6Data !== undefined;
  if (backendType === 'wireguard') return backendV6Data !== undefined && publicIPv6 !== undefined;
  return (backendType === 'host-gw' || backendType === 'extension') && publicIPv6 !== undefined;
}
