import { expect, test } from 'vitest';
import { until } from '../daemon/cluster.ts';
import { kernelHasWireguard, patience, WireguardNodes } from '../daemon/wireguard-nodes.ts';
import { wireguardSuite } from '../daemon/wireguard-suite.ts';

test('this kernel has WireGuard', async () => {
  expect(await kernelHasWireguard()).toBe(true);
});

wireguardSuite();

test('the device of K3s’s former backend "wireguard" goes, and its key stays', async () => {
  let key = '';
  const nodes = await WireguardNodes.start('v4', 1, {}, async (made) => {
    const script = 'wg genkey >/run/old && wg set flannel.1 private-key /run/old listen-port 51820';
    await made.ip(0, 'link add flannel.1 type wireguard');
    await made.ip(0, 'addr add 10.244.1.0/32 dev flannel.1');
    await made.exec(0, 'sh', '-c', `${script} && ip link set flannel.1 up`);
    key = await made.publicKey(0, 'flannel.1');
  });
  try {
    await until(async () => !(await nodes.ip(0, 'link show')).includes('flannel.1'), patience);
    expect(await nodes.publicKey(0)).toBe(key);
    expect(nodes.cluster.logs.get(0)).toContain("K3s's former backend");
    await until(async () => (await nodes.shown(0)).listenPort === '51820', patience);
  } finally {
    await nodes.stop();
  }
});
