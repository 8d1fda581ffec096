import { expect, test } from 'vitest';
import { flanneld, until } from './cluster.ts';
import { patience, WireguardNodes } from './wireguard-nodes.ts';
import { wireguardSuite } from './wireguard-suite.ts';

wireguardSuite();

test.each(['auto', 'ipv6'])('one tunnel carries both families in mode %s', async (Mode) => {
  const made = await WireguardNodes.start('dual', 2, { Mode });
  try {
    await made.connected(0, 1);
    expect(await made.ip(0, 'link show')).not.toContain('flannel-wg-v6');
    const endpoint = Mode === 'ipv6' ? '[2001:db8::2]:51820' : '192.0.2.2:51820';
    expect((await made.shown(0)).peers[0]?.[2]).toBe(endpoint);
  } finally {
    await made.stop();
  }
});

test('what Go flannel left is taken over, and a dry run tells it before', async () => {
  const made = await WireguardNodes.start('v4', 2, { PersistentKeepaliveInterval: 25 });
  try {
    const { cluster } = made;
    await made.connected(0, 1);
    const before = [await made.index(0), await made.publicKey(0)];
    const shown = await made.shown(0);
    await cluster.end(0, 'SIGTERM');
    const stranger = Buffer.alloc(32, 6).toString('base64');
    await made.ip(0, 'route replace 10.244.0.0/16 dev flannel-wg scope link proto boot');
    await made.ip(0, 'route del 10.244.0.0/16 proto 241').catch(() => '');
    // A peer that left while no daemon ran.
    await made.wg(0, `set flannel-wg peer ${stranger} allowed-ips 10.244.7.0/24`);
    const told = await made.exec(0, flanneld, ...cluster.args(0), '--adopt-dry-run');
    const planned = told.split('\n').filter((line) => line.startsWith('  '));
    expect(planned).toEqual([
      '  replace route 10.244.0.0/16 dev flannel-wg, was route 10.244.0.0/16 dev flannel-wg proto boot',
      `  remove wireguard peer ${stranger} allowed-ips 10.244.7.0/24 dev flannel-wg`,
    ]);
    await made.run(0);
    await until(async () => JSON.stringify(await made.shown(0)) === JSON.stringify(shown), patience);
    expect([await made.index(0), await made.publicKey(0)]).toEqual(before);
    expect((await made.ip(0, 'route show dev flannel-wg')).trim()).toBe('10.244.0.0/16 proto 241 scope link');
  } finally {
    await made.stop();
  }
});
