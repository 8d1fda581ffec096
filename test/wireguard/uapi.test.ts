import { describe, expect, test } from 'vitest';
import { prefix } from '../../src/net/prefix.ts';
import type { PeerSettings } from '../../src/wireguard/device.ts';
import { parseEndpoint } from '../../src/wireguard/endpoint.ts';
import { publicKeyFromBytes, Secret } from '../../src/wireguard/key.ts';
import { errnoOf, getRequest, isWhole, parseReading, setRequest } from '../../src/wireguard/uapi.ts';

const bytes = (n: number) => new Uint8Array(32).fill(n);
const hex = (n: number) => Buffer.from(bytes(n)).toString('hex');
const peer: PeerSettings = {
  publicKey: publicKeyFromBytes(bytes(2)),
  presharedKey: new Secret(bytes(3)),
  endpoint: parseEndpoint('[2001:db8::2]:51820') as never,
  allowedIPs: ['10.244.2.0/24', 'fd00:244:0:2::/64'].map(prefix),
  keepalive: 25,
};

describe('what is set', () => {
  test('of a device', () => {
    const device = { privateKey: new Secret(bytes(1)), listenPort: 51_820, fwmark: 0 };
    expect(setRequest({ link: 'flannel-wg', device })).toBe(
      `set=1\nprivate_key=${hex(1)}\nlisten_port=51820\nfwmark=0\n\n`,
    );
  });

  test('of a peer', () => {
    expect(setRequest({ link: 'flannel-wg', peer })).toBe(
      `set=1\npublic_key=${hex(2)}\npreshared_key=${hex(3)}\nendpoint=[2001:db8::2]:51820\n` +
        'persistent_keepalive_interval=25\nreplace_allowed_ips=true\nallowed_ip=10.244.2.0/24\n' +
        'allowed_ip=fd00:244:0:2::/64\n\n',
    );
  });

  test('of a peer without a preshared key and endpoint: the one is taken away, the other stays', () => {
    const { presharedKey: _, endpoint: __, ...plain } = peer;
    const text = setRequest({ link: 'flannel-wg', peer: { ...plain, allowedIPs: [], keepalive: 0 } });
    expect(text).toBe(
      `set=1\npublic_key=${hex(2)}\npreshared_key=${hex(0)}\npersistent_keepalive_interval=0\nreplace_allowed_ips=true\n\n`,
    );
  });

  test('of a peer that goes', () => {
    expect(setRequest({ link: 'flannel-wg', removed: peer.publicKey })).toBe(
      `set=1\npublic_key=${hex(2)}\nremove=true\n\n`,
    );
  });
});

describe('what is answered', () => {
  // As wireguard-go 0.0.20220316 wrote it.
  const answer =
    `private_key=${hex(1)}\nlisten_port=51820\npublic_key=${hex(2)}\npreshared_key=${hex(3)}\nprotocol_version=1\n` +
    'endpoint=192.168.60.2:51820\nlast_handshake_time_sec=1764281998\nlast_handshake_time_nsec=500000000\ntx_bytes=148\n' +
    'rx_bytes=0\npersistent_keepalive_interval=25\nallowed_ip=fd09::2/128\nallowed_ip=10.9.0.2/32\n' +
    `public_key=${hex(4)}\npreshared_key=${hex(0)}\nprotocol_version=1\nlast_handshake_time_sec=0\n` +
    'last_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\npersistent_keepalive_interval=0\nerrno=0\n\n';

  test('is read', () => {
    expect(parseReading(answer)).toEqual({
      privateKey: new Secret(bytes(1)),
      listenPort: 51_820,
      fwmark: 0,
      peers: [
        {
          ...peer,
          endpoint: '192.168.60.2:51820',
          allowedIPs: ['10.9.0.2/32', 'fd09::2/128'],
          lastHandshake: 1_764_281_998_500,
        },
        { publicKey: publicKeyFromBytes(bytes(4)), allowedIPs: [], keepalive: 0 },
      ],
    });
    expect(new Secret(bytes(3)).equals(parseReading(answer).peers[0]?.presharedKey)).toBe(true);
  });

  test('by a device that is new', () => {
    expect(parseReading('listen_port=52692\nerrno=0\n\n')).toEqual({
      listenPort: 52_692,
      fwmark: 0,
      peers: [],
    });
  });

  test('has an errno', () => {
    expect(errnoOf(answer)).toBe(0);
    expect(errnoOf('errno=-98\n\n')).toBe(98);
    expect(() => errnoOf('listen_port=1\n\n')).toThrow(SyntaxError);
    expect([isWhole('errno=0\n'), isWhole('errno=0\n\n')]).toEqual([false, true]);
    expect(getRequest).toBe('get=1\n\n');
  });
});
