import { expect, onTestFinished, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { Bridges } from '../../src/cni/attachment/bridges.ts';
import { groups } from '../../src/kernel/groups.ts';
import { Announcements } from '../../src/netlink/announcements.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { systemClock } from '../../src/world/clock.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { createNetns } from '../kit/netns.ts';

const binding = loadBinding();

/** A namespace with a bridge, and how often it was asked about that. */
async function node() {
  const netns = createNetns();
  const options = { netnsFd: netns.fd };
  const session = new SyncSession(openSocket(binding, options));
  const announcements = new Announcements(openSocket(binding, { ...options, groups }), systemClock);
  onTestFinished(() => {
    session.close();
    announcements.close();
    netns.remove();
  });
  await netns.exec('ip', 'link', 'add', 'cni0', 'type', 'bridge');
  await netns.exec('ip', 'address', 'add', '10.244.1.1/24', 'dev', 'cni0');
  let asked = 0;
  const request: SyncSession['request'] = (message) => {
    asked++;
    return session.request(message);
  };
  const counting = {
    request,
    dump: session.dump.bind(session),
    batch: session.batch.bind(session),
    post: session.post.bind(session),
    indexOf: session.indexOf.bind(session),
  };
  const bridges = new Bridges(counting, announcements);
  return {
    netns,
    asked: () => asked,
    observe: () => bridges.observe('cni0'),
  };
}

test('a bridge is asked about once, as long as nothing about it is announced', async () => {
  const { netns, asked, observe } = await node();
  const state = observe();
  expect(state).toMatchObject({ up: false, addresses: ['10.244.1.1/24'] });
  await netns.exec('ip', 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'veth1');
  await netns.exec('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'veth0');
  expect(observe()).toEqual(state);
  expect(asked()).toBe(1);
});

test('what the bridge itself announces needs no asking: it is all there', async () => {
  const { netns, asked, observe } = await node();
  const before = observe();
  await netns.exec('ip', 'link', 'set', 'cni0', 'mtu', '1400', 'up');
  await netns.exec('ip', 'link', 'add', 'veth0', 'up', 'master', 'cni0', 'type', 'veth', 'peer', 'veth1');
  await netns.exec('ip', 'link', 'set', 'veth1', 'up');
  await netns.exec('ip', 'link', 'del', 'veth0');
  expect(observe()).toMatchObject({
    ...before,
    up: true,
    mtu: 1400,
    mac: expect.stringMatching(/^..:/) as string,
  });
  expect(asked()).toBe(1);
});

test.each<[string, string[], object | undefined]>([
  ['up', ['link', 'set', 'cni0', 'up'], { up: true }],
  [
    'given another MAC',
    ['link', 'set', 'cni0', 'address', '02:00:00:00:00:07'],
    { mac: '02:00:00:00:00:07' },
  ],
  ['given an MTU', ['link', 'set', 'cni0', 'mtu', '1400'], { mtu: 1400 }],
  [
    'given an address',
    ['address', 'add', '192.0.2.1/24', 'dev', 'cni0'],
    { addresses: ['10.244.1.1/24', '192.0.2.1/24'] },
  ],
  ['robbed of one', ['address', 'del', '10.244.1.1/24', 'dev', 'cni0'], { addresses: [] }],
  ['removed', ['link', 'del', 'cni0'], undefined],
  ['renamed', ['link', 'set', 'cni0', 'name', 'other'], undefined],
])('it is asked about again, and at once, when it was %s', async (_, command, now) => {
  const { netns, observe } = await node();
  observe();
  await netns.exec('ip', ...command);
  if (now === undefined) expect(observe()).toBeUndefined();
  else expect(observe()).toMatchObject(now);
});

test('it is asked about again after more was announced than could be read', async () => {
  const { netns, asked, observe } = await node();
  observe();
  const commands = Array.from(
    { length: 3000 },
    (_, i) => `address add 10.0.${i >> 8}.${i & 255}/32 dev cni0`,
  );
  await netns.exec('sh', '-c', `printf '${commands.join('\\n')}' | ip -batch -`);
  expect(observe()?.addresses).toHaveLength(3001);
  expect(asked()).toBe(2);
});
