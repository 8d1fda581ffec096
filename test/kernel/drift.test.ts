import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as k from '../../src/netlink/constants.ts';
import { isNetlinkError } from '../../src/netlink/error.ts';
import type { Request } from '../../src/netlink/message.ts';
import { delAddress } from '../../src/netlink/route/address.ts';
import { delLink, newLink } from '../../src/netlink/route/link.ts';
import { delNeighbour, newNeighbour } from '../../src/netlink/route/neighbour.ts';
import { delRoute, newRoute } from '../../src/netlink/route/route.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { address } from '../../src/net/address.ts';
import { mac } from '../../src/net/mac.ts';
import type { FakeKernel } from '../netlink/fake-kernel.ts';
import { World } from './world.ts';

/** Somebody else at work: one thing done to one object, the `which`-th of its kind. */
interface Deed {
  readonly what: keyof typeof deeds;
  readonly which: number;
  /** Its notification does not come through. */
  readonly unheard: boolean;
  /** How long the reconciler has until the next one, in turns. */
  readonly pause: boolean;
}

const indexOf = (kernel: FakeKernel) => kernel.linkNamed('flannel.1')?.ifi_index ?? 0;
const pick = <T>(list: readonly T[], which: number): T | undefined => list[which % Math.max(1, list.length)];
const ourRoutes = (kernel: FakeKernel) => kernel.routes.filter(({ rtm_protocol }) => rtm_protocol === 241);

const deeds = {
  'delete a route': (kernel: FakeKernel, which: number) => {
    const route = pick(ourRoutes(kernel), which);
    return route && delRoute({ ...route, rtm_flags: 0 });
  },
  'replace a route': (kernel: FakeKernel, which: number) => {
    const route = pick(ourRoutes(kernel), which);
    return route && newRoute({ ...route, RTA_GATEWAY: address('10.244.99.0') }, k.NLM_F_REPLACE);
  },
  'add a route of ours': (kernel: FakeKernel, which: number) =>
    newRoute({
      rtm_family: k.AF_INET,
      rtm_dst_len: 24,
      rtm_table: k.RT_TABLE_MAIN,
      rtm_protocol: 241,
      rtm_flags: k.RTNH_F_ONLINK,
      RTA_DST: address(`10.244.${100 + which}.0`),
      RTA_GATEWAY: address('10.244.99.0'),
      RTA_OIF: indexOf(kernel),
    }),
  'delete a neighbour': (kernel: FakeKernel, which: number) => {
    const entry = pick(kernel.neighbours, which);
    return entry && delNeighbour(entry);
  },
  'change a neighbour': (kernel: FakeKernel, which: number) => {
    const entry = pick(
      kernel.neighbours.filter(({ ndm_family }) => ndm_family !== k.AF_BRIDGE),
      which,
    );
    return entry && newNeighbour({ ...entry, NDA_LLADDR: mac('02:00:00:00:00:aa') });
  },
  'add an FDB entry': (kernel: FakeKernel, which: number) =>
    newNeighbour({
      ndm_family: k.AF_BRIDGE,
      ndm_ifindex: indexOf(kernel),
      ndm_state: k.NUD_PERMANENT,
      ndm_flags: k.NTF_SELF,
      NDA_LLADDR: mac(`02:00:00:00:01:0${which}`),
      NDA_DST: address('192.0.2.99'),
    }),
  'delete the address': (kernel: FakeKernel) => {
    const own = kernel.addresses.find(({ ifa_index }) => ifa_index === indexOf(kernel));
    return own && delAddress(own);
  },
  'set the device down': (kernel: FakeKernel) =>
    newLink({ ifi_index: indexOf(kernel), ifi_flags: 0, ifi_change: k.IFF_UP }, 0),
  'change the MTU': (kernel: FakeKernel) => newLink({ ifi_index: indexOf(kernel), IFLA_MTU: 1300 }, 0),
  'delete the device': () => delLink({ IFLA_IFNAME: 'flannel.1' }),
} satisfies Record<string, (kernel: FakeKernel, which: number) => Request | undefined>;

const deed: fc.Arbitrary<Deed> = fc.record({
  what: fc.constantFrom(...(Object.keys(deeds) as (keyof typeof deeds)[])),
  which: fc.nat({ max: 5 }),
  unheard: fc.boolean(),
  pause: fc.boolean(),
});

/** All of it, without the numbers of links. */
function contents(kernel: FakeKernel): unknown {
  const name = (index: number | undefined) => kernel.links.get(index ?? 0)?.IFLA_IFNAME;
  return {
    links: [...kernel.links.values()].map((link) => JSON.stringify({ ...link, ifi_index: 0 })).toSorted(),
    addresses: kernel.addresses.map((each) => `${each.IFA_LOCAL} ${name(each.ifa_index)}`).toSorted(),
    neighbours: kernel.neighbours
      .map(
        (each) => `${each.ndm_family} ${each.NDA_DST} ${String(each.NDA_LLADDR)} ${name(each.ndm_ifindex)}`,
      )
      .toSorted(),
    routes: kernel.routes
      .map((each) => `${each.RTA_DST} ${each.RTA_GATEWAY} ${name(each.RTA_OIF)} ${each.rtm_protocol}`)
      .toSorted(),
  };
}

test('whatever is done to the kernel, heard or unheard, all is as it was', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { minLength: 1, maxLength: 8 }), async (done) => {
      await using world = new World();
      await world.start([2, 3, 4]);
      await world.hear();
      const before = contents(world.kernel);
      const outside = new SyncSession(world.kernel.open());
      for (const { what, which, unheard, pause } of done) {
        const run = () => attempt(outside, deeds[what](world.kernel, which));
        if (unheard) world.kernel.loseNotifications(run);
        else run();
        if (pause) await world.hear();
      }
      await world.clock.advance(2000);
      await world.hear();
      expect(await world.reconciler.settled()).toMatchObject({ objects: 11, failed: [], foreign: [] });
      expect(contents(world.kernel)).toEqual(before);
      expect(world.reconciler.plan()).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

/** The device may be gone already. */
function attempt(outside: SyncSession, request: Request | undefined): void {
  try {
    if (request !== undefined) outside.request(request);
  } catch (error) {
    if (!isNetlinkError(error)) throw error;
  }
}
