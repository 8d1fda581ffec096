import type { Lease, PodNetwork } from '../lease/lease.ts';
import { type Backend, PeerRefusal, requireBackend } from './backend.ts';
import type { Families } from './families.ts';

/**
 * What a command learns of a node. All of it comes from leases, so it goes by environment and input alone: it is no part
 * of what the shell reads.
 */
export interface Given {
  readonly environment: Readonly<Record<string, string>>;
  readonly input: string;
}

/** flannel's extension backend: the operator's commands join the nodes; the kernel's state is theirs altogether. */
export function extension(families: Families): Backend {
  return {
    type: 'extension',
    links: [],
    ownLinks: [],
    spares: ['boot routes', 'devices'],
    mtu: ({ mtu }) => mtu,
    ipv6Mtu: () => undefined,
    attributes: () => ({}),
    planNode: () => [],
    planPeer(_self, peer) {
      requireBackend('extension', peer);
      const { subnet, ipv6Subnet, attributes } = peer.lease;
      if (families.ipv4 && subnet === undefined) throw new PeerRefusal('it has no IPv4 subnet');
      if (families.ipv6 && ipv6Subnet === undefined) throw new PeerRefusal('it has no IPv6 subnet');
      const { backendData = '' } = attributes;
      if (typeof backendData !== 'string') throw new PeerRefusal('its backend-data is no string');
      if (backendData.includes('\0')) throw new PeerRefusal('its backend-data has a NUL in it');
      return [];
    },
  };
}

/** For SubnetAddCommand and SubnetRemoveCommand. Go flannel gives no IPV6SUBNET and no PUBLIC_IPV6. */
export function givenPeer({ subnet, ipv6Subnet, attributes }: Lease): Given {
  const { publicIP, publicIPv6, backendData = '' } = attributes;
  return {
    environment: {
      SUBNET: subnet ?? '',
      PUBLIC_IP: publicIP ?? '',
      ...(ipv6Subnet && { IPV6SUBNET: ipv6Subnet }),
      ...(publicIPv6 && { PUBLIC_IPV6: publicIPv6 }),
    },
    input: `${typeof backendData === 'string' ? backendData : ''}\n`,
  };
}

/** For PostStartupCommand and ShutdownCommand: this node. */
export function givenNode({ ipv4, ipv6 }: PodNetwork, { subnet, ipv6Subnet, attributes }: Lease): Given {
  return {
    environment: {
      NETWORK: ipv4 ?? '',
      ...(ipv6 && { IPV6_NETWORK: ipv6 }),
      SUBNET: subnet ?? '',
      IPV6SUBNET: ipv6Subnet ?? '',
      PUBLIC_IP: attributes.publicIP ?? '',
      PUBLIC_IPV6: attributes.publicIPv6 ?? '',
    },
    input: '',
  };
}

/** Whom a command was given, by the peer's ID. */
export type GivenPeers = ReadonlyMap<string, Given>;

export interface PeerStep {
  readonly does: 'add' | 'remove';
  readonly id: string;
  readonly given: Given;
}

/**
 * What is to be run so that those who were added become those who are wanted: a peer that has changed is removed as it
 * was, and added as it is. Nobody is removed while not all that are wanted are known. Pure.
 */
export function nextStep(
  added: GivenPeers,
  wanted: GivenPeers,
  { complete, mayTry }: { complete: boolean; mayTry: (id: string) => boolean },
): PeerStep | undefined {
  for (const [id, given] of added) {
    const now = wanted.get(id);
    const goes = now === undefined ? complete : !isSameGiven(given, now);
    if (goes && mayTry(id)) return { does: 'remove', id, given };
  }
  for (const [id, given] of wanted) if (!added.has(id) && mayTry(id)) return { does: 'add', id, given };
  return undefined;
}

export const isSameGiven = (one: Given, other: Given): boolean =>
  JSON.stringify(one) === JSON.stringify(other);
