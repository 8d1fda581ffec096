import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { address } from '../../src/net/address.ts';
import { Announcements } from '../../src/netlink/announcements.ts';
import * as k from '../../src/netlink/constants.ts';
import { LinkRemover } from '../../src/netlink/link-removal.ts';
import { getLink, newLink, setLink } from '../../src/netlink/route/link.ts';
import type { RouteNotification } from '../../src/netlink/route/notification.ts';
import { delRoute, getRoutes, newRoute } from '../../src/netlink/route/route.ts';
import { AsyncSession, SyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { systemClock } from '../../src/world/clock.ts';
import { createNetns, type Netns } from '../kit/netns.ts';

const binding = loadBinding();
let node: Netns;
let session: SyncSession;

beforeEach(() => {
  node = createNetns();
  session = new SyncSession(open());
});

afterEach(() => {
  session.close();
  node.remove();
});

const open = (groups: readonly number[] = []) => openSocket(binding, { netnsFd: node.fd, groups });

const pause = (milliseconds: number) =>
  new Promise<void>((resolve) => {
    setTimeout(resolve, milliseconds);
  });

const bridge = (IFLA_IFNAME: string) =>
  newLink({
    IFLA_IFNAME,
    ifi_flags: k.IFF_UP,
    ifi_change: k.IFF_UP,
    IFLA_LINKINFO: { IFLA_INFO_KIND: 'bridge' },
  });

const routeTo = (i: number, RTA_OIF: number) => ({
  rtm_family: k.AF_INET,
  rtm_dst_len: 24,
  rtm_table: k.RT_TABLE_MAIN,
  rtm_protocol: 241,
  rtm_type: k.RTN_UNICAST,
  RTA_DST: address(`10.${i >> 8}.${i & 255}.0`),
  // The metric keeps the kernel from searching one long chain of equal next hops.
  RTA_PRIORITY: i % 256,
  RTA_OIF,
});

const indexOf = (name: string): number => session.request(getLink({ IFLA_IFNAME: name }))[0]?.ifi_index ?? -1;

test('a batch with one that fails in the middle: the others are done', async () => {
  session.request(bridge('br0'));
  const oif = indexOf('br0');
  const requests = [1, 2, 3, 4, 5].map((i) => newRoute(routeTo(i, i === 3 ? 9999 : oif)));
  const outcomes = session.batch(requests);
  expect(outcomes.map((outcome) => outcome?.code)).toEqual([
    undefined,
    undefined,
    'ENODEV',
    undefined,
    undefined,
  ]);
  expect(await node.json('ip', 'route', 'show', 'proto', '241')).toHaveLength(4);
});

test('5,000 routes in one batch, and dumped, by both kinds of session', async () => {
  session.request(bridge('br0'));
  const oif = indexOf('br0');
  const outcomes = session.batch(Array.from({ length: 5000 }, (_, i) => newRoute(routeTo(i, oif))));
  expect(outcomes.filter((outcome) => outcome !== undefined)).toEqual([]);
  const mine = getRoutes({ rtm_family: k.AF_INET, rtm_protocol: 241 });
  const routes = session.dump(mine);
  expect(new Set(routes.map((route) => route.RTA_DST)).size).toBe(5000);
  const asynchronous = new AsyncSession(open(), systemClock);
  // The times of the dumps differ in nothing but how they were fetched.
  expect(await asynchronous.dump(mine)).toEqual(routes);
  asynchronous.close();
});

test('5,000 failures in one batch are each attributed', () => {
  const outcomes = session.batch(Array.from({ length: 5000 }, (_, i) => delRoute(routeTo(i, 1))));
  expect(outcomes.map((outcome) => outcome?.code)).toEqual(Array.from({ length: 5000 }, () => 'ESRCH'));
});

test('many requests at once on one asynchronous session', async () => {
  const asynchronous = new AsyncSession(open(), systemClock);
  await Promise.all(Array.from({ length: 50 }, (_, i) => asynchronous.request(bridge(`br${i}`))));
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, i) => asynchronous.request(getLink({ IFLA_IFNAME: `br${i}` }))),
  );
  expect(answers.map(([link]) => link?.IFLA_IFNAME)).toEqual(Array.from({ length: 50 }, (_, i) => `br${i}`));
  asynchronous.close();
});

describe('what the kernel announces', () => {
  test('tells of links that come and go', async () => {
    const seen: string[] = [];
    const announcements = new Announcements(open([k.RTNLGRP_LINK]), systemClock);
    announcements.subscribe(
      (message) => {
        if (message.type === k.RTM_NEWLINK) seen.push(`+${message.value.IFLA_IFNAME}`);
        if (message.type === k.RTM_DELLINK) seen.push(`-${message.value.IFLA_IFNAME}`);
      },
      () => seen.push('lost'),
    );
    session.request(bridge('br0'));
    await node.exec('ip', 'link', 'del', 'br0');
    await expect.poll(() => seen).toContain('-br0');
    expect(seen[0]).toBe('+br0');
    announcements.close();
  });

  test('is lost where the buffer runs over, which is told, and a dump then has everything', async () => {
    const messages: RouteNotification[] = [];
    const lost: Error[] = [];
    const socket = open([k.RTNLGRP_IPV4_ROUTE]);
    expect(binding.setOption(socket.fd, k.SOL_SOCKET, k.SO_RCVBUFFORCE, 4096)).toBe(0);
    session.request(bridge('br0'));
    const oif = indexOf('br0');
    const announcements = new Announcements(socket, systemClock);
    announcements.subscribe(
      (message) => messages.push(message),
      (why) => lost.push(why),
    );
    session.batch(Array.from({ length: 1000 }, (_, i) => newRoute(routeTo(i, oif))));
    await expect.poll(() => lost.length).toBeGreaterThan(0);
    expect(messages.length).toBeLessThan(1000);
    expect(session.dump(getRoutes({ rtm_family: k.AF_INET, rtm_protocol: 241 }))).toHaveLength(1000);
    // And what happens from now on is announced again.
    const before = messages.length;
    session.request(newRoute(routeTo(2000, oif)));
    await expect.poll(() => messages.length).toBeGreaterThan(before);
    announcements.close();
  });
});

describe('LinkRemover', () => {
  const removerOf = (groups: readonly number[]) => {
    const asynchronous = new AsyncSession(open(), systemClock);
    const announcements = new Announcements(open(groups), systemClock);
    const remover = new LinkRemover(open(), announcements, asynchronous);
    return {
      remover,
      close() {
        remover.close();
        announcements.close();
        asynchronous.close();
      },
    };
  };

  /** veths that are ports of a bridge, one by one as for pods; their indexes. */
  const veths = (count: number): number[] => {
    session.request(bridge('br0'));
    const IFLA_MASTER = indexOf('br0');
    const outcomes = session.batch(
      Array.from({ length: count }, (_, i) =>
        newLink({
          IFLA_IFNAME: `ve${i}`,
          ifi_flags: k.IFF_UP,
          ifi_change: k.IFF_UP,
          IFLA_MASTER,
          IFLA_LINKINFO: {
            IFLA_INFO_KIND: 'veth',
            IFLA_INFO_DATA: { VETH_INFO_PEER: { IFLA_IFNAME: `pe${i}` } },
          },
        }),
      ),
    );
    expect(outcomes.filter((outcome) => outcome !== undefined)).toEqual([]);
    return Array.from({ length: count }, (_, i) => indexOf(`ve${i}`));
  };

  const names = () => session.dump(getLink()).map((link) => link.IFLA_IFNAME);

  test.each([
    ['announced', [k.RTNLGRP_LINK]],
    ['acknowledged, when announcements do not come', []],
  ])('32 veths at once, %s', async (_how, groups) => {
    const indexes = veths(32);
    const { remover, close } = removerOf(groups);
    await pause(20);
    await Promise.all(indexes.map((index) => remover.remove(index)));
    expect(names()).toEqual(['lo', 'br0']);
    close();
  });

  test('32 veths one after the other, as requests come in', async () => {
    const indexes = veths(32);
    const { remover, close } = removerOf([k.RTNLGRP_LINK]);
    const all: Promise<void>[] = [];
    for (const index of indexes) {
      all.push(remover.remove(index));
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
    }
    await Promise.all(all);
    expect(names()).toEqual(['lo', 'br0']);
    close();
  });

  test('a port that only leaves its bridge is not taken for a link that is gone', async () => {
    const [index = -1] = veths(1);
    const { remover, close } = removerOf([k.RTNLGRP_LINK]);
    const order: string[] = [];
    session.request(setLink({ ifi_index: index, IFLA_MASTER: 0 }));
    await remover.remove(index).then(() => order.push(names().includes('ve0') ? 'too early' : 'gone'));
    expect(order).toEqual(['gone']);
    close();
  });

  test('what is gone already, and what cannot go', async () => {
    const [first = -1, second = -1] = veths(2);
    const { remover, close } = removerOf([k.RTNLGRP_LINK]);
    await pause(20);
    const outcomes = await Promise.allSettled(
      [first, 1, 98_765, second].map((index) => remover.remove(index)),
    );
    expect(outcomes.map((outcome) => outcome.status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
    expect(outcomes[1]).toMatchObject({ reason: { code: 'EOPNOTSUPP' } });
    await expect.poll(() => session.request(getLink({ ifi_index: 1 }))[0]?.IFLA_GROUP).toBe(0);
    expect(names()).toEqual(['lo', 'br0']);
    close();
  });
});
