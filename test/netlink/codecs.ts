import { family } from '../../src/netlink/generic/family.ts';
import { wireguardDevice } from '../../src/netlink/generic/wireguard.ts';
import type { MessageCodec } from '../../src/netlink/message.ts';
import { nftChain, nftGeneration, nftRule, nftTable } from '../../src/netlink/netfilter/nftables.ts';
import { addressMessage } from '../../src/netlink/route/address.ts';
import { link } from '../../src/netlink/route/link.ts';
import { neighbour } from '../../src/netlink/route/neighbour.ts';
import { nexthop } from '../../src/netlink/route/nexthop.ts';
import { route } from '../../src/netlink/route/route.ts';

/** A codec whose types a loop over all of them does not know. */
export type AnyCodec = MessageCodec<object, object>;

/** Every message codec there is. */
export const codecs: Readonly<Record<string, AnyCodec>> = {
  link: link,
  address: addressMessage,
  route: route,
  neighbour: neighbour,
  nexthop: nexthop,
  family: family,
  wireguard: wireguardDevice,
  'nft-table': nftTable,
  'nft-chain': nftChain,
  'nft-rule': nftRule,
  'nft-generation': nftGeneration,
};
