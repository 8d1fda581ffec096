import { containsPrefix } from '../net/prefix.ts';
import type { ActualObject } from './actual.ts';
import type { Ownership } from './desired.ts';
import { bootProtocol, ourProtocol } from './object.ts';

/** Whether `object` may be changed and removed; the rules stand at {@link Ownership}. */
export function isOurs(object: ActualObject, ownership: Ownership): boolean {
  const { links, networks, isFlannelRoute, blackholes = [] } = ownership;
  switch (object.kind) {
    case 'link':
      return links.has(object.name);
    case 'address':
      return links.has(object.link) && networks.some((network) => containsPrefix(network, object.address));
    case 'neighbour':
    case 'fdb':
    case 'wireguard':
    case 'wireguardPeer':
      return links.has(object.link);
    case 'nexthop':
      return object.protocol === ourProtocol;
    case 'route':
      if (object.protocol === ourProtocol) return true;
      if (object.link !== undefined && links.has(object.link)) return !isKernels(object.protocol);
      if (object.protocol !== bootProtocol || object.odd !== undefined || object.nexthop !== undefined)
        return false;
      if (object.type === 'blackhole') return blackholes.includes(object.destination);
      return isFlannelRoute(object.destination, object.gateway);
  }
}

/** RTPROT_REDIRECT, RTPROT_KERNEL, RTPROT_RA: what addresses and routers bring, and take away again. */
const isKernels = (protocol: number): boolean => protocol === 1 || protocol === 2 || protocol === 9;
