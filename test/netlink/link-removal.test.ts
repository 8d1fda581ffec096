import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/world/clock.ts';
import { Announcements } from '../../src/netlink/announcements.ts';
import * as k from '../../src/netlink/constants.ts';
import { LinkRemover } from '../../src/netlink/link-removal.ts';
import { getLink, newLink } from '../../src/netlink/route/link.ts';
import { AsyncSession } from '../../src/netlink/session.ts';
import { FakeKernel } from './fake-kernel.ts';

/** A kernel with bridges of the indexes 2 to count + 1, and a remover that knows which groups are free. */
async function withLinks(count: number) {
  const kernel = new FakeKernel();
  const session = new AsyncSession(kernel.open(), systemClock);
  await session.batch(
    Array.from({ length: count }, (_, i) =>
      newLink({ IFLA_IFNAME: `b${i}`, IFLA_LINKINFO: { IFLA_INFO_KIND: 'bridge' } }),
    ),
  );
  const remover = new LinkRemover(
    kernel.open(),
    new Announcements(kernel.open([k.RTNLGRP_LINK]), systemClock),
    session,
  );
  await new Promise((resolve) => {
    setTimeout(resolve, 5);
  });
  kernel.requests.length = 0;
  return { kernel, session, remover };
}

const deletions = (kernel: FakeKernel) =>
  kernel.requests.flatMap((request) => (request.name === 'RTM_DELLINK' ? [request.value] : []));

describe('LinkRemover', () => {
  test('removes one link by its index', async () => {
    const { kernel, remover } = await withLinks(1);
    await remover.remove(2);
    expect([...kernel.links.keys()]).toEqual([1]);
    expect(kernel.requests).toHaveLength(1);
    expect(deletions(kernel)).toMatchObject([{ ifi_index: 2 }]);
  });

  test('removes those that are asked for together as one group, out of its own range', async () => {
    const { kernel, remover } = await withLinks(10);
    await Promise.all(Array.from({ length: 10 }, (_, i) => remover.remove(i + 2)));
    expect([...kernel.links.keys()]).toEqual([1]);
    const [only, ...others] = deletions(kernel);
    expect(others).toEqual([]);
    expect(only?.ifi_index).toBe(0);
    expect((only?.IFLA_GROUP ?? 0) >>> 16).toBe(0x464c);
  });

  test('never takes a group that is in use', async () => {
    const { kernel, session } = await withLinks(4);
    const stranger = kernel.links.get(5);
    if (stranger === undefined) throw new Error('no link 5');
    stranger.IFLA_GROUP = 0x464c_0000;
    const remover = new LinkRemover(
      kernel.open(),
      new Announcements(kernel.open([k.RTNLGRP_LINK]), systemClock),
      session,
    );
    await session.dump(getLink());
    await Promise.all([remover.remove(2), remover.remove(3)]);
    expect([...kernel.links.keys()]).toEqual([1, 4, 5]);
  });

  test('a link that is gone already is removed', async () => {
    const { kernel, remover } = await withLinks(2);
    await remover.remove(99);
    await Promise.all([remover.remove(98), remover.remove(2), remover.remove(97)]);
    expect([...kernel.links.keys()]).toEqual([1, 3]);
  });

  test('asked twice for the same link, it sends once', async () => {
    const { kernel, remover } = await withLinks(1);
    const first = remover.remove(2);
    expect(remover.remove(2)).toBe(first);
    await first;
    expect(deletions(kernel)).toHaveLength(1);
  });

  test('a link that the kernel refuses to remove fails alone, and leaves the group again', async () => {
    const { kernel, remover } = await withLinks(3);
    const outcomes = await Promise.allSettled([remover.remove(2), remover.remove(1), remover.remove(4)]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(outcomes[1]).toMatchObject({ reason: { code: 'EOPNOTSUPP', request: 'RTM_DELLINK' } });
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
    expect([...kernel.links.values()].map((link) => [link.ifi_index, link.IFLA_GROUP])).toEqual([
      [1, 0],
      [3, 0],
    ]);
  });

  test('a link that cannot be put into the group is removed by itself', async () => {
    const { kernel, remover } = await withLinks(3);
    kernel.refuse = (request) =>
      request.name === 'RTM_SETLINK' && request.value.ifi_index === 3 ? 16 : undefined;
    await Promise.all([remover.remove(2), remover.remove(3), remover.remove(4)]);
    expect([...kernel.links.keys()]).toEqual([1]);
  });

  test('without announcements the acknowledgement will do', async () => {
    const { kernel, session } = await withLinks(3);
    const remover = new LinkRemover(
      kernel.open(),
      new Announcements(kernel.open([k.RTNLGRP_NSID]), systemClock),
      session,
    );
    await Promise.all([remover.remove(2), remover.remove(3), remover.remove(4)]);
    expect([...kernel.links.keys()]).toEqual([1]);
  });

  test('a hundred in a row: sixteen sends at most at one time, and far fewer than links', async () => {
    const { kernel, session } = await withLinks(100);
    const sender = kernel.open();
    const atOnce = { now: 0, most: 0 };
    const send = sender.sendThreaded.bind(sender);
    sender.sendThreaded = async (bytes) => {
      atOnce.most = Math.max(atOnce.most, ++atOnce.now);
      await send(bytes);
      atOnce.now--;
    };
    const remover = new LinkRemover(
      sender,
      new Announcements(kernel.open([k.RTNLGRP_LINK]), systemClock),
      session,
    );
    await session.dump(getLink());
    const all: Promise<void>[] = [];
    for (let i = 0; i < 100; i++) {
      all.push(remover.remove(i + 2));
      await Promise.resolve();
    }
    await Promise.all(all);
    expect([...kernel.links.keys()]).toEqual([1]);
    expect(atOnce.most).toBe(16);
    expect(deletions(kernel).length).toBeLessThan(50);
  });

  test('close rejects what is pending', async () => {
    const { remover } = await withLinks(1);
    const pending = remover.remove(2);
    remover.close();
    await expect(pending).rejects.toMatchObject({ code: 'ECANCELED' });
    await expect(remover.remove(2)).rejects.toMatchObject({ code: 'ECANCELED' });
  });
});
