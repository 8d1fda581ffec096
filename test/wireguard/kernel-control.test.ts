import { describe, expect, test } from 'vitest';
import { prefix } from '../../src/net/prefix.ts';
import { NetlinkError } from '../../src/netlink/error.ts';
import type { WireguardDeviceMessage } from '../../src/netlink/generic/wireguard.ts';
import type { Request } from '../../src/netlink/message.ts';
import { kernelControl, readingOf, wireguardFamily } from '../../src/wireguard/kernel-control.ts';
import { publicKeyFromBytes } from '../../src/wireguard/key.ts';
import { golden } from '../netlink/golden.ts';

const ENODEV = 19;
const ENOENT = 2;
const EPERM = 1;
const device = golden().find(({ name }) => name === 'device with peers')?.value as WireguardDeviceMessage;

describe('what the kernel tells of a device', () => {
  test('is a reading', () => {
    expect(readingOf([device])).toMatchObject({
      listenPort: 51_820,
      fwmark: 7,
      peers: [
        { endpoint: '192.0.2.1:51820', keepalive: 25, allowedIPs: ['10.244.1.0/24', 'fd00:1::/64'] },
        { endpoint: '[2001:db8::1]:51821', keepalive: 0, allowedIPs: [] },
      ],
    });
    expect(readingOf([device]).peers[1]).not.toHaveProperty('presharedKey');
    expect(readingOf([device]).peers[0]).not.toHaveProperty('lastHandshake');
  });

  test('may come in several messages, in which a peer goes on', () => {
    const [first] = device.WGDEVICE_A_PEERS?.WGPEER ?? [];
    const more: WireguardDeviceMessage = {
      ...device,
      WGDEVICE_A_PEERS: {
        WGPEER: [
          {
            WGPEER_A_PUBLIC_KEY: first?.WGPEER_A_PUBLIC_KEY,
            WGPEER_A_ALLOWEDIPS: {
              WGALLOWEDIP: [
                {
                  WGALLOWEDIP_A_IPADDR: prefix('10.1.0.0/16').split('/')[0] as never,
                  WGALLOWEDIP_A_CIDR_MASK: 16,
                },
              ],
            },
          },
        ],
      },
    };
    const { peers } = readingOf([device, more]);
    expect(peers).toHaveLength(2);
    expect(peers[0]).toMatchObject({
      endpoint: '192.0.2.1:51820',
      allowedIPs: ['10.1.0.0/16', '10.244.1.0/24', 'fd00:1::/64'],
    });
  });

  test('of a handshake is its time', () => {
    const [first] = device.WGDEVICE_A_PEERS?.WGPEER ?? [];
    const WGPEER = [
      { ...first, WGPEER_A_LAST_HANDSHAKE_TIME: { tv_sec: 1_764_281_998n, tv_nsec: 500_000_000n } },
    ];
    const [peer] = readingOf([{ ...device, WGDEVICE_A_PEERS: { WGPEER } }]).peers;
    expect(peer?.lastHandshake).toBe(1_764_281_998_500);
  });
});

describe('the kernel’s way', () => {
  const failing = (errno: number) => ({
    request: () => Promise.reject(new NetlinkError('CTRL_CMD_GETFAMILY', errno)),
    dump: () => Promise.reject(new NetlinkError('WG_CMD_GET_DEVICE', errno)),
    batch: (requests: readonly Request[]) =>
      Promise.resolve(
        requests.map((_, i) => (i === 1 ? new NetlinkError('WG_CMD_SET_DEVICE', errno) : undefined)),
      ),
  });

  test('is not there when it has no such family; another error is one', async () => {
    expect(await wireguardFamily(failing(ENOENT))).toBeUndefined();
    await expect(wireguardFamily(failing(EPERM))).rejects.toThrow('EPERM');
  });

  test('knows a device that is not there from one that cannot be read', async () => {
    expect(await kernelControl(failing(ENODEV), 30).read('flannel-wg')).toBeUndefined();
    await expect(kernelControl(failing(EPERM), 30).read('flannel-wg')).rejects.toThrow('EPERM');
  });

  test('has an outcome for each change', async () => {
    const removed = publicKeyFromBytes(new Uint8Array(32).fill(1));
    const changes = [0, 1, 2].map(() => ({ link: 'flannel-wg', removed }));
    const outcomes = await kernelControl(failing(ENODEV), 30).write(changes);
    expect(outcomes.map((error) => error?.message)).toEqual([undefined, 'the kernel says ENODEV', undefined]);
  });
});
