import { afterEach, describe, expect, test } from 'vitest';
import { Reconciler } from '../../src/kernel/reconciler.ts';
import * as k from '../../src/netlink/constants.ts';
import { AsyncSession } from '../../src/netlink/session.ts';
import { address } from '../../src/net/address.ts';
import { peer, self } from '../backend/nodes.ts';
import type { FakeRequest } from '../netlink/fake-kernel.ts';
import { ownership } from './objects.ts';
import { backend, parts, planPeer, World } from './world.ts';

const EPERM = 1;
const ENETUNREACH = 101;
const EOPNOTSUPP = 95;

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

const routes = () => world.kernel.routes.filter(({ rtm_protocol }) => rtm_protocol === 241).length;
const isRouteTo = (destination: string) => (request: FakeRequest) =>
  request.name === 'RTM_NEWROUTE' && request.value.RTA_DST === destination;

describe('a reconciler', () => {
  test('puts everything in place with one write each, and then writes nothing', async () => {
    world = new World();
    const report = await world.start([2, 3]);
    expect(report).toEqual({
      wanted: 8,
      objects: 8,
      failed: [],
      foreign: [],
      repairs: 0,
      lastAudit: world.clock.now(),
    });
    expect(world.writes()).toHaveLength(8 + 2);
    await world.hear();
    await world.clock.advance(10 * 60_000);
    expect(world.writes()).toEqual([]);
    expect(world.reconciler.plan()).toEqual([]);
  });

  test('tells of a link when it was made, at each reading of the kernel, and of no link that is not there', async () => {
    world = new World();
    await world.start([2]);
    expect(world.links).toEqual(['flannel.1']);
    await world.clock.advance(60_000);
    expect(world.links).toEqual(['flannel.1', 'flannel.1']);
  });

  test('removes a link also where the kernel does not tell what goes with it', async () => {
    world = new World();
    await world.start([2]);
    world.kernel.refuse = ({ name }) => (name.startsWith('RTM_GET') ? EPERM : undefined);
    world.reconciler.replaceParts(new Map());
    await world.hear();
    expect(world.kernel.linkNamed('flannel.1')).toBeUndefined();
  });

  test('writes one object when one peer among many changes', async () => {
    world = new World();
    await world.start([2, 3, 4, 5]);
    await world.hear();
    world.writes();
    const moved = peer(3, { publicIP: address('192.0.2.33') });
    world.reconciler.setPart('node-3', backend.planPeer(self, moved));
    await world.reconciler.settled();
    expect(world.kernel.requests.map(({ name }) => name)).toEqual(['RTM_NEWNEIGH']);
  });

  test('writes nothing when a part is set that says the same', async () => {
    world = new World();
    await world.start([2, 3]);
    await world.hear();
    world.writes();
    world.reconciler.setPart('node-3', planPeer(3));
    world.reconciler.replaceParts(parts([2, 3]));
    await world.reconciler.settled();
    expect(world.writes()).toEqual([]);
  });

  test('finds out by itself after notifications were lost', async () => {
    world = new World();
    await world.start([2, 3]);
    await world.hear();
    world.kernel.loseNotifications(() => {
      world.kernel.routes = world.kernel.routes.filter(({ rtm_protocol }) => rtm_protocol !== 241);
      world.kernel.neighbours = [];
    });
    await world.hear();
    expect(await world.reconciler.settled()).toMatchObject({ objects: 8, repairs: 6 });
    expect(routes()).toBe(2);
  });

  test('finds out within a minute what the kernel never announced', async () => {
    world = new World();
    await world.start([2, 3]);
    await world.clock.advance(30_000);
    world.kernel.routes = world.kernel.routes.filter(({ RTA_DST }) => RTA_DST !== '10.244.2.0');
    await world.clock.advance(29_999);
    expect(routes()).toBe(1);
    await world.clock.advance(2);
    await world.hear();
    expect(routes()).toBe(2);
    expect(world.warnings).toEqual(['repaired: add route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink']);
  });

  test('removes nothing before it knows everything', async () => {
    world = new World();
    await world.start([2, 3]);
    await world.hear();
    world.reconciler.close();
    const again = new Reconciler({
      session: new AsyncSession(world.kernel.open(), world.clock),
      subscribe: (onMessage, onLost) => world.announcements.subscribe(onMessage, onLost),
      clock: world.clock,
      log: { debug() {}, info() {}, warn() {}, error() {} },
    });
    again.own(ownership);
    again.setPart('node', backend.planNode(self));
    again.setPart('node-2', planPeer(2));
    await again.start();
    await again.settled();
    expect(routes()).toBe(2);
    again.replaceParts(parts([2]));
    expect(await again.settled()).toMatchObject({ wanted: 5, objects: 5, repairs: 0 });
    expect(routes()).toBe(1);
    again.close();
  });

  test('is told what was announced before it looks at a new link, and before it puts anything on it', async () => {
    world = new World();
    const { kernel, clock, announcements } = world;
    const told: number[] = [];
    const other = new Reconciler({
      session: new AsyncSession(kernel.open(), clock),
      subscribe(onMessage, onLost) {
        const listening = announcements.subscribe(onMessage, onLost);
        const read = () => {
          told.push(kernel.requests.length);
          return listening.read();
        };
        return { ...listening, read };
      },
      clock,
      log: { debug() {}, info() {}, warn() {}, error() {} },
    });
    other.own(ownership);
    other.replaceParts(parts([2]));
    await other.start();
    await other.settled();
    other.close();
    const names = kernel.requests.map(({ name }) => name);
    const made = names.lastIndexOf('RTM_NEWLINK');
    expect(names.slice(made, made + 3)).toEqual(['RTM_NEWLINK', 'RTM_GETLINK', 'RTM_NEWADDR']);
    expect(told).toEqual([made + 1, made + 2]);
  });

  test('closing removes nothing, and answers who waits', async () => {
    world = new World();
    await world.start([2, 3]);
    const waiting = world.reconciler.settled();
    world.reconciler.close();
    await waiting;
    await world.clock.advance(120_000);
    expect(routes()).toBe(2);
  });
});

describe('what the kernel refuses', () => {
  test('is said in a sentence, delays no other, and is tried again ever more slowly', async () => {
    world = new World();
    world.kernel.refuse = (request) => (isRouteTo('10.244.3.0')(request) ? ENETUNREACH : undefined);
    const report = await world.start([2, 3, 4]);
    expect(report).toMatchObject({ wanted: 11, objects: 10 });
    expect(report.failed).toEqual([
      {
        what: 'add route 10.244.3.0/24 via 10.244.3.0 dev flannel.1 onlink',
        why:
          'cannot add route 10.244.3.0/24 via 10.244.3.0 dev flannel.1 onlink: the kernel says ENETUNREACH; ' +
          'no link of this node reaches 10.244.3.0 directly: see "ip route get 10.244.3.0"',
      },
    ]);
    expect(routes()).toBe(2);
    world.writes();
    await world.clock.advance(55_000);
    // At 0.25, 0.75, 1.75, 3.75, 7.75, 15.75, 31.75 seconds.
    expect(world.writes()).toHaveLength(7);
    expect(world.warnings).toHaveLength(1);
    world.kernel.refuse = () => undefined;
    await world.clock.advance(31_000);
    await world.hear();
    expect(await world.reconciler.settled()).toMatchObject({ objects: 11, failed: [], repairs: 0 });
  });

  test('a new wish for the object is tried at once', async () => {
    world = new World();
    world.kernel.refuse = (request) => (isRouteTo('10.244.3.0')(request) ? ENETUNREACH : undefined);
    await world.start([2, 3]);
    world.kernel.refuse = () => undefined;
    world.reconciler.removePart('node-3');
    world.reconciler.setPart('node-3', planPeer(3));
    expect(await world.reconciler.settled()).toMatchObject({ objects: 8, failed: [] });
  });

  test('a device that cannot be made is one failure; its peers wait and come with it', async () => {
    world = new World();
    world.kernel.refuse = ({ name }) => (name === 'RTM_NEWLINK' ? EOPNOTSUPP : undefined);
    const report = await world.start([2, 3]);
    expect(report).toMatchObject({ wanted: 8, objects: 0 });
    expect(report.failed.map(({ why }) => why)).toEqual([
      expect.stringMatching(
        /^cannot add link flannel\.1 .*EOPNOTSUPP; it has no vxlan module: try "modprobe vxlan"/,
      ),
    ]);
    world.kernel.refuse = () => undefined;
    await world.clock.advance(300);
    await world.hear();
    expect(await world.reconciler.settled()).toMatchObject({ objects: 8, failed: [] });
  });

  test('without the right to write, it says which one', async () => {
    world = new World();
    world.kernel.refuse = ({ name }) => (name.startsWith('RTM_GET') ? undefined : EPERM);
    const report = await world.start([2]);
    expect(report.failed.map(({ why }) => why)).toEqual([expect.stringMatching(/CAP_NET_ADMIN/)]);
  });

  test('a fight is found out: after many repairs in a row one a second is made', async () => {
    world = new World();
    await world.start([2]);
    await world.hear();
    const undo = () => {
      world.kernel.neighbours = world.kernel.neighbours.filter(({ NDA_DST }) => NDA_DST !== '192.0.2.2');
      world.kernel.loseNotifications();
    };
    for (let i = 0; i < 200; i++) {
      undo();
      await world.reconciler.settled();
      await world.hear();
    }
    const { repairs, failed } = world.reconciler.report();
    // One more than 150 for the time that those took.
    expect(repairs).toBe(151);
    expect(failed).toEqual([
      { what: expect.stringMatching(/^add fdb/), why: expect.stringMatching(/undoes it again and again/) },
    ]);
    await world.clock.advance(1100);
    await world.hear();
    expect(world.reconciler.report()).toMatchObject({ repairs: 152, failed: [] });
  });
});

test('a peer that leaves after somebody took its entries away leaves no failure behind', async () => {
  world = new World();
  await world.start([2, 3]);
  await world.hear();
  world.writes();
  world.kernel.neighbours = world.kernel.neighbours.filter(
    ({ NDA_DST }) => NDA_DST !== '10.244.3.0' && NDA_DST !== '192.0.2.3',
  );
  world.kernel.routes = world.kernel.routes.filter(({ RTA_DST }) => RTA_DST !== '10.244.3.0');
  world.reconciler.removePart('node-3');
  expect(await world.reconciler.settled()).toMatchObject({ wanted: 5, objects: 5, failed: [] });
  await world.hear();
  world.writes();
  await world.clock.advance(60_001);
  await world.hear();
  expect([world.writes(), world.warnings]).toEqual([[], []]);
});

describe('two parts that claim one key', () => {
  test('the first has it, the other is told, and follows when the first goes', async () => {
    world = new World();
    await world.start([2, 3]);
    const thief = peer(4, { backendData: { VNI: 1, VtepMAC: '02:00:00:04:00:02' } });
    world.reconciler.setPart('node-4', backend.planPeer(self, thief));
    const report = await world.reconciler.settled();
    expect(report.failed).toEqual([
      {
        what: 'node-4: fdb 02:00:00:04:00:02 dst 192.0.2.4 dev flannel.1',
        why: expect.stringMatching(/^fdb 02:00:00:04:00:02 dev flannel\.1 is claimed by another/),
      },
    ]);
    expect(remoteOf('02:00:00:04:00:02')).toEqual(['192.0.2.2']);
    world.reconciler.setPart('node-2', planPeer(2));
    await world.reconciler.settled();
    expect(remoteOf('02:00:00:04:00:02')).toEqual(['192.0.2.2']);
    world.reconciler.removePart('node-2');
    expect((await world.reconciler.settled()).failed).toEqual([]);
    expect(remoteOf('02:00:00:04:00:02')).toEqual(['192.0.2.4']);
  });

  const remoteOf = (mac: string) =>
    world.kernel.neighbours
      .filter(({ ndm_family, NDA_LLADDR }) => ndm_family === k.AF_BRIDGE && NDA_LLADDR === mac)
      .map(({ NDA_DST }) => NDA_DST);
});

test('a node that is reported on after every change', async () => {
  world = new World();
  await world.start([2]);
  world.reconciler.setPart('node-3', planPeer(3));
  await world.reconciler.settled();
  expect(world.reports.map(({ objects }) => objects)).toEqual([5, 8]);
});
