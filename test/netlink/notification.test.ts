import { expect, test } from 'vitest';
import * as k from '../../src/netlink/constants.ts';
import { frames } from '../../src/netlink/message.ts';
import { link } from '../../src/netlink/route/link.ts';
import { decodeRouteMessage } from '../../src/netlink/route/notification.ts';
import { bodyOf, wireMessage } from './wire.ts';

const read = (type: number, body: Uint8Array) =>
  [...frames(wireMessage(type, 0, 0, body))].map((frame) => decodeRouteMessage(frame));
const about = (ifi_family: number) => bodyOf(link, { ifi_family, ifi_index: 7, IFLA_IFNAME: 'veth1' });

test.each([k.RTM_NEWLINK, k.RTM_DELLINK])(
  'what a bridge tells of its port is passed over: type %i',
  (type) => {
    expect(read(type, about(k.AF_BRIDGE))).toEqual([undefined]);
    expect(read(type, about(k.AF_UNSPEC))).toMatchObject([{ type, value: { IFLA_IFNAME: 'veth1' } }]);
  },
);

test('a link message without a body is refused by its table', () => {
  expect(() => read(k.RTM_NEWLINK, new Uint8Array())).toThrow(/16 bytes expected, 0 found/);
});

test('an entry of a forwarding database is told', () => {
  const entry = Uint8Array.of(k.AF_BRIDGE, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0);
  expect(read(k.RTM_NEWNEIGH, entry)).toMatchObject([{ value: { ndm_family: k.AF_BRIDGE, ndm_ifindex: 7 } }]);
});
