import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from './cluster.ts';
import { kernelHasWireguard, patience, traces, WireguardNodes } from './wireguard-nodes.ts';

const tool = path.resolve(import.meta.dirname, '../../build/bin/cni-tool');
const presharedKey = Buffer.alloc(32, 5).toString('base64');
const stranger = Buffer.alloc(32, 6).toString('base64');

/** What flanneld does with WireGuard, the kernel's and wireguard-go's: whichever this machine has. */
export function wireguardSuite(): void {
  let nodes: WireguardNodes;

  describe('two nodes', () => {
    beforeAll(async () => {
      nodes = await WireguardNodes.start('dual', 2, {
        PSK: presharedKey,
        PersistentKeepaliveInterval: 25,
      });
      await nodes.connected(0, 1);
    });
    afterAll(() => nodes.stop());

    test('reach each other’s pods in both families, with packets of the whole MTU', async () => {
      const { cluster } = nodes;
      for (const i of [0, 1]) await cluster.addPodAddress(i);
      for (const family of [4, 6] as const) {
        expect(await cluster.reachesPod(0, 1, family)).toBe(true);
        const size = String(1420 - (family === 4 ? 28 : 48));
        await nodes.exec(
          0,
          'ping',
          `-${family}`,
          '-c1',
          '-W2',
          '-Mdo',
          '-s',
          size,
          cluster.device(1, family),
        );
      }
      expect(fs.readFileSync(cluster.file('0.env'), 'utf8')).toContain('FLANNEL_MTU=1420');
    });

    test('lose what goes to a subnet that no node has, and send it nowhere else', async () => {
      for (const target of ['10.244.250.1', 'fd00:244:0:fa::1']) {
        expect(await nodes.ip(0, `route get ${target}`)).toMatch(/ dev flannel-wg/);
        const before = await sent();
        await expect(nodes.exec(0, 'ping', '-c1', '-W1', '-s1000', target)).rejects.toThrow();
        // A handshake or a keepalive may come in between; they are small.
        expect((await sent()) - before).toBeLessThan(1000);
      }
    });

    /** Bytes that peers were sent. */
    const sent = async () =>
      (await nodes.wg(0, 'show all transfer'))
        .trim()
        .split('\n')
        .reduce((sum, line) => sum + Number(line.split('\t')[3]), 0);

    test('have each other as their only peers, and as flannel sets them', async () => {
      const { cluster } = nodes;
      const key = await nodes.publicKey(1);
      expect(await nodes.shown(0)).toEqual({
        listenPort: '51820',
        fwmark: 'off',
        peers: [[key, presharedKey, '192.0.2.2:51820', `${cluster.device(1, 4)}/24`, '25']],
      });
      expect(await nodes.shown(0, 'flannel-wg-v6')).toEqual({
        listenPort: '51821',
        fwmark: 'off',
        peers: [[key, presharedKey, '[2001:db8::2]:51821', `${cluster.device(1, 6)}/64`, '25']],
      });
      const route = await nodes.ip(0, 'route show dev flannel-wg');
      expect(route.trim()).toBe('10.244.0.0/16 proto 241 scope link');
      expect(await nodes.ip(0, '-6 route show dev flannel-wg-v6 proto 241')).toContain('fd00:244::/56');
      const lease = JSON.parse(fs.readFileSync(cluster.file('leases/node-1.json'), 'utf8')) as object;
      expect(JSON.stringify(lease)).toContain(`{"PublicKey":"${key}","Port":51820}`);
      expect(JSON.stringify(lease)).toContain(`{"PublicKey":"${key}","Port":51821}`);
    });

    test('lose no packet while one’s flanneld is started anew, and the device stays', async () => {
      const { cluster } = nodes;
      const before = [await nodes.index(0), await nodes.index(0, 'flannel-wg-v6'), await nodes.publicKey(0)];
      const pings = nodes.exec(1, 'ping', '-i0.05', '-c60', '-W2', cluster.device(0, 4));
      await cluster.end(0, 'SIGTERM');
      await nodes.run(0);
      expect(await pings).toContain(' 0% packet loss');
      expect([await nodes.index(0), await nodes.index(0, 'flannel-wg-v6'), await nodes.publicKey(0)]).toEqual(
        before,
      );
    });

    test('mend within seconds what others set', async () => {
      const key = await nodes.publicKey(1);
      const before = [await nodes.shown(0), await nodes.shown(0, 'flannel-wg-v6')];
      await nodes.wg(0, `set flannel-wg peer ${key} remove`);
      await nodes.wg(0, 'set flannel-wg fwmark 7');
      await nodes.wg(0, `set flannel-wg-v6 peer ${key} allowed-ips 10.99.0.0/16 persistent-keepalive 3`);
      await nodes.wg(0, `set flannel-wg-v6 peer ${stranger} allowed-ips fd00:244:0:2::/64`);
      await nodes.wg(0, 'set flannel-wg-v6 listen-port 1234');
      await until(async () => {
        const now = [await nodes.shown(0), await nodes.shown(0, 'flannel-wg-v6')];
        return JSON.stringify(now) === JSON.stringify(before);
      }, patience);
      await nodes.connected(0, 1);
    });

    test('make a device anew that is deleted', async () => {
      const before = await nodes.shown(0);
      const index = await nodes.index(0);
      await nodes.ip(0, 'link del flannel-wg');
      await until(async () => {
        const now = await nodes.shown(0).catch(() => undefined);
        return JSON.stringify(now) === JSON.stringify(before);
      }, patience);
      expect(await nodes.index(0)).not.toBe(index);
      await nodes.connected(0, 1);
    });

    test('leave an endpoint alone that a handshake has moved', async () => {
      const { cluster } = nodes;
      await cluster.end(1, 'SIGTERM');
      await nodes.wg(1, 'set flannel-wg listen-port 60000');
      const endpoint = async () => (await nodes.shown(0)).peers[0]?.[2];
      await until(async () => {
        await cluster.reaches(1, 0, 4);
        return (await endpoint()) === '192.0.2.2:60000';
      }, patience);
      // When this is mended the peers have been looked at too.
      await nodes.wg(0, 'set flannel-wg fwmark 9');
      await until(async () => (await nodes.shown(0)).fwmark === 'off', patience);
      expect(await endpoint()).toBe('192.0.2.2:60000');
      await nodes.run(1);
      await until(async () => (await nodes.shown(1)).listenPort === '51820', patience);
      await nodes.connected(1, 0);
    });

    test('show how they stand, and nothing that is secret', async () => {
      const socket = nodes.cluster.file('0.sock');
      const status = execFileSync(tool, ['node', '--socket', socket, '--json'], { encoding: 'utf8' });
      const secrets = [
        presharedKey,
        (await nodes.wg(0, 'show flannel-wg private-key')).trim(),
        (await nodes.exec(0, 'cat', '/run/flannel/wgkey')).trim(),
      ];
      const told = `${traces(nodes, 0)}${status}`;
      for (const secret of secrets) {
        expect(secret).toHaveLength(44);
        expect(told).not.toContain(secret);
        expect(told).not.toContain(Buffer.from(secret, 'base64').toString('hex'));
      }
      const userspace = !(await kernelHasWireguard());
      expect(/no WireGuard/.test(told)).toBe(userspace);
      expect(JSON.parse(status)).toMatchObject({
        wireguard: { userspace, handshakes: { 'node-1': expect.any(Number) as number } },
      });
      const shown = execFileSync(tool, ['node', '--socket', socket], { encoding: 'utf8' });
      expect(shown).toMatch(/^PEER +PUBLIC IP +SUBNET +HANDSHAKE\nnode-1 .* \d+ s ago$/m);
      expect(shown.includes('wireguard, by wireguard-go')).toBe(userspace);
    });

    test('keep their keys over a reboot', async () => {
      const { cluster } = nodes;
      const key = await nodes.publicKey(0);
      await cluster.end(0, 'SIGKILL');
      for (const device of ['flannel-wg', 'flannel-wg-v6']) await nodes.ip(0, `link del ${device}`);
      await nodes.exec(0, 'rm', '/run/flannel/wgkey');
      await nodes.run(0);
      expect(await nodes.publicKey(0)).toBe(key);
      expect((await nodes.exec(0, 'stat', '-c', '%a', '/run/flannel/wgkey')).trim()).toBe('400');
      await nodes.connected(0, 1);
    });

    test('forget a peer that leaves', async () => {
      const { cluster } = nodes;
      await cluster.end(1, 'SIGTERM');
      fs.rmSync(cluster.file('leases/node-1.json'));
      await until(async () => (await nodes.shown(0)).peers.length === 0, patience);
      await until(async () => (await nodes.shown(0, 'flannel-wg-v6')).peers.length === 0, patience);
      await nodes.run(1);
      await nodes.connected(0, 1);
    });
  });
}
