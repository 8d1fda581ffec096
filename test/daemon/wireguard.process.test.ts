import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { flanneld, until } from './cluster.ts';
import { kernelHasWireguard, patience, WireguardNodes } from './wireguard-nodes.ts';
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

test('without wireguard-go it says what to install, and goes on when it is there', async (context) => {
  if (await kernelHasWireguard()) context.skip('this kernel has WireGuard, so nobody needs wireguard-go');
  const made = await WireguardNodes.start('v4', 1);
  const programs = fs.mkdtempSync(path.join(tmpdir(), 'fl-path-'));
  try {
    const { cluster } = made;
    await cluster.end(0, 'SIGTERM');
    await made.ip(0, 'link del flannel-wg');
    cluster.launch(0, { before: [...made.inside(0), 'env', `PATH=${programs}`] });
    await until(() => cluster.logs.get(0)?.includes('apt-get install wireguard-go') === true, patience);
    fs.symlinkSync('/usr/bin/wireguard-go', path.join(programs, 'wireguard-go'));
    await until(() => cluster.logs.get(0)?.includes('ready: pods can be served') === true, patience);
  } finally {
    await made.stop();
    fs.rmSync(programs, { recursive: true });
  }
});
