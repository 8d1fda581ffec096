import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { observeHost } from '../../src/daemon/host/host.ts';
import { chooseInterface } from '../../src/daemon/host/interface-choice.ts';
import { followSurroundings } from '../../src/daemon/host/surroundings.ts';
import { groups, newerGroups } from '../../src/kernel/groups.ts';
import { Announcements } from '../../src/netlink/announcements.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { systemClock } from '../../src/world/clock.ts';
import { createNetns, type Netns } from '../kit/netns.ts';

/** What the kernel announces, and what it does without a word. */

const binding = loadBinding();
let netns: Netns;
let session: SyncSession;
let chosen: string;
let looks: number;
let announcements: Announcements;
let stop: () => void;

const ip = (line: string) => netns.exec('ip', ...line.split(' '));

const choose = () => {
  looks++;
  const wish = { families: [4 as const], iface: [], ifaceRegex: [], nodeIPs: [], networks: [] };
  chosen = chooseInterface(observeHost(session), wish).link.name;
};

beforeEach(async () => {
  netns = createNetns();
  session = new SyncSession(openSocket(binding, { netnsFd: netns.fd }));
  // With IPv6 a link's own address comes and goes with it, and is announced.
  await netns.exec('sysctl', '-q', 'net.ipv6.conf.default.disable_ipv6=1');
  for (const n of [0, 1]) {
    await ip(`link add eth${n} type bridge`);
    await ip(`link add port${n} type veth peer name far${n}`);
    await ip(`link set far${n} up`);
    await ip(`link set port${n} master eth${n} up`);
    await ip(`link set eth${n} up`);
    await ip(`addr add 192.0.${n + 2}.1/24 dev eth${n}`);
    await ip(`route add default via 192.0.${n + 2}.254 metric ${100 + n}`);
  }
  looks = 0;
  choose();
  const socket = openSocket(binding, { netnsFd: netns.fd, groups, newerGroups });
  announcements = new Announcements(socket, systemClock);
  stop = followSurroundings(
    {
      subscribe: (onMessage, onLost) => announcements.subscribe(onMessage, onLost),
      clock: systemClock,
      chosen: () => chosen,
    },
    choose,
  );
});

afterEach(() => {
  stop();
  announcements.close();
  session.close();
  netns.remove();
});

test('an interface that goes down takes its default route along: the other one is chosen, and again the first', async () => {
  expect(chosen).toBe('eth0');
  // Whatever is heard for the first time is news: from here on only what is new.
  for (const n of [0, 1]) await ip(`link set eth${n} alias known`);
  await expect.poll(() => looks).toBe(2);
  await ip('link set eth0 down');
  await expect.poll(() => chosen).toBe('eth1');
  await ip('link set eth0 up');
  await ip('route add default via 192.0.2.254 metric 100');
  await expect.poll(() => chosen).toBe('eth0');
});
