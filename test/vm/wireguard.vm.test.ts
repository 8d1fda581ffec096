import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { address } from '../../src/net/address.ts';
import * as k from '../../src/netlink/constants.ts';
import { getFamily } from '../../src/netlink/generic/family.ts';
import { getWireguardDevice, setWireguardDevice } from '../../src/netlink/generic/wireguard.ts';
import { newLink } from '../../src/netlink/route/link.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { withNetns } from '../kit/netns.ts';

const key = (kind: 'privateKey' | 'publicKey'): Uint8Array => {
  const { x, d } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  return Uint8Array.from(Buffer.from((kind === 'privateKey' ? d : x) ?? '', 'base64url'));
};

test('a WireGuard device is made, set and read, and the wg program agrees', () =>
  withNetns(async (node) => {
    const binding = loadBinding();
    const route = new SyncSession(openSocket(binding, { netnsFd: node.fd }));
    const generic = new SyncSession(openSocket(binding, { protocol: k.NETLINK_GENERIC, netnsFd: node.fd }));
    try {
      route.request(newLink({ IFLA_IFNAME: 'wg0', IFLA_LINKINFO: { IFLA_INFO_KIND: 'wireguard' } }));
      const family = generic.request(getFamily('wireguard'))[0]?.CTRL_ATTR_FAMILY_ID ?? 0;
      const publicKey = key('publicKey');
      generic.request(
        setWireguardDevice(family, {
          WGDEVICE_A_IFNAME: 'wg0',
          WGDEVICE_A_PRIVATE_KEY: key('privateKey'),
          WGDEVICE_A_LISTEN_PORT: 51_820,
          WGDEVICE_A_FLAGS: k.WGDEVICE_F_REPLACE_PEERS,
          WGDEVICE_A_PEERS: {
            WGPEER: [
              {
                WGPEER_A_PUBLIC_KEY: publicKey,
                WGPEER_A_FLAGS: k.WGPEER_F_REPLACE_ALLOWEDIPS,
                WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL: 25,
                WGPEER_A_ALLOWEDIPS: {
                  WGALLOWEDIP: [
                    {
                      WGALLOWEDIP_A_FAMILY: k.AF_INET,
                      WGALLOWEDIP_A_IPADDR: address('10.244.1.0'),
                      WGALLOWEDIP_A_CIDR_MASK: 24,
                    },
                  ],
                },
              },
            ],
          },
        }),
      );
      const [device] = generic.dump(getWireguardDevice(family, 'wg0'));
      expect(device).toMatchObject({
        WGDEVICE_A_LISTEN_PORT: 51_820,
        WGDEVICE_A_PEERS: { WGPEER: [{ WGPEER_A_PUBLIC_KEY: publicKey }] },
      });
      expect(await node.exec('wg', 'show', 'wg0', 'allowed-ips')).toBe(
        `${Buffer.from(publicKey).toString('base64')}\t10.244.1.0/24\n`,
      );
    } finally {
      route.close();
      generic.close();
    }
  }));
