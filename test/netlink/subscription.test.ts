import { expect, test } from 'vitest';
import { address } from '../../src/net/address.ts';
import * as k from '../../src/netlink/constants.ts';
import { NetlinkError } from '../../src/netlink/error.ts';
import { newAddress } from '../../src/netlink/route/address.ts';
import { newLink } from '../../src/netlink/route/link.ts';
import { decodeRouteMessage, type RouteNotification } from '../../src/netlink/route/notification.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { listen } from '../../src/netlink/subscription.ts';
import { FakeKernel } from './fake-kernel.ts';
import { wireMessage } from './wire.ts';

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
};

function watched() {
  const kernel = new FakeKernel();
  const socket = kernel.open([k.RTNLGRP_LINK]);
  const seen: RouteNotification[] = [];
  const lost: Error[] = [];
  const subscription = listen(
    socket,
    decodeRouteMessage,
    (message) => seen.push(message),
    (why) => lost.push(why),
  );
  return { kernel, socket, seen, lost, subscription, session: new SyncSession(kernel.open()) };
}

const bridge = { IFLA_IFNAME: 'br0', IFLA_LINKINFO: { IFLA_INFO_KIND: 'bridge' } } as const;

test('announces the groups that the socket joined, told apart by type', async () => {
  const { seen, session } = watched();
  session.request(newLink(bridge));
  const IFA_LOCAL = address('10.0.0.1');
  session.request(newAddress({ ifa_family: k.AF_INET, ifa_prefixlen: 24, ifa_index: 2, IFA_LOCAL }));
  await turns(3);
  const [only] = seen;
  expect(seen).toHaveLength(1);
  expect(only?.type === k.RTM_NEWLINK && only.value.IFLA_IFNAME).toBe('br0');
});

test('ENOBUFS and a message that cannot be read say that something was lost; the rest still comes', async () => {
  const { seen, lost, socket, session } = watched();
  socket.push(
    new NetlinkError('recv', 105),
    wireMessage(k.RTM_NEWLINK, 0, 0, new Uint8Array(2)),
    Uint8Array.of(1, 2, 3),
  );
  session.request(newLink(bridge));
  await turns(8);
  expect(lost.map((error) => error.name)).toEqual(['NetlinkError', 'CodecError', 'CodecError']);
  expect(seen).toHaveLength(1);
});

test('types that no table is for are passed over', async () => {
  const { seen, lost, socket } = watched();
  socket.push(wireMessage(999, 0, 0, new Uint8Array(40)));
  await turns(3);
  expect({ seen, lost }).toEqual({ seen: [], lost: [] });
});

test('after close nothing comes any more', async () => {
  const { seen, session, subscription, socket } = watched();
  session.request(newLink(bridge));
  subscription.close();
  await turns(3);
  expect(seen).toEqual([]);
  expect(socket.closed).toBe(true);
});
