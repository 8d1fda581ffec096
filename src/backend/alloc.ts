import type { Backend } from './backend.ts';

/** flannel's alloc backend: nodes get their subnets, and somebody else carries the packets. */
export const alloc: Backend = {
  type: '',
  links: [],
  ownLinks: [],
  spares: ['boot routes'],
  mtu: ({ mtu }) => mtu,
  ipv6Mtu: () => undefined,
  attributes: () => ({}),
  planNode: () => [],
  planPeer: () => [],
};
