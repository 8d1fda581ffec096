import { describe, expect, test } from 'vitest';
import type { External, Identity } from '../../src/backend/backend.ts';
import { makeBackend } from '../../src/backend/backends.ts';
import type { Families } from '../../src/backend/families.ts';
import { gatewayOf, subnetEnvText } from '../../src/daemon/files/subnet-env.ts';
import { annotationKeys } from '../../src/lease/kubernetes/annotations.ts';
import { annotationsOf } from '../../src/lease/kubernetes/node-lease.ts';
import { nodeOf } from '../../src/lease/kubernetes/node-object.ts';
import type { LeaseAttributes } from '../../src/lease/lease.ts';
import { address } from '../../src/net/address.ts';
import { mac } from '../../src/net/mac.ts';
import { prefix } from '../../src/net/prefix.ts';
import { publicKeyOf, Secret } from '../../src/wireguard/key.ts';
import { readNetworkConfig } from '../kit/network-config.ts';

/**
 * A book of what Go flannel writes in so many configurations: the annotations of a Node, and subnet.env. The text that
 * is expected is put together here, from what is known of Go flannel, and by nothing of ours.
 */

const stacks: Readonly<Record<string, Families>> = {
  v4: { ipv4: true, ipv6: false },
  v6: { ipv4: false, ipv6: true },
  dual: { ipv4: true, ipv6: true },
};

/** What stands before the end of each annotation's name. */
const prefixes = [
  ['flannel.alpha.coreos.com', 'flannel.alpha.coreos.com/'],
  ['example.com/pods', 'example.com/pods-'],
  ['example.com/pods-', 'example.com/pods-'],
  ['x.example.com/', 'x.example.com/'],
  ['k3s.example.org', 'k3s.example.org/'],
] as const;

const privateKey = new Secret(new Uint8Array(32).fill(64));
const PublicKey = publicKeyOf(privateKey);
const [ownMac, ownV6Mac] = ['02:00:00:04:00:01', '02:00:00:06:00:01'];
const identity: Identity = {
  macs: {
    'flannel.1': mac(ownMac),
    'flannel-v6.1': mac(ownV6Mac),
    'flannel.7': mac(ownMac),
    'flannel-v6.7': mac(ownV6Mac),
  },
  wireguard: { privateKey, publicKey: PublicKey, userspace: false },
};

interface Kind {
  readonly backend: Readonly<Record<string, unknown>>;
  readonly type: string;
  /** JSON text for each family, by the stack. */
  readonly data: string;
  readonly v6Data: string;
  /** An IPv6-only node tells IPv4 data too, with no address. */
  readonly always?: true;
  readonly ipv4Only?: true;
}

const kinds: readonly Kind[] = [
  {
    backend: { Type: 'vxlan' },
    type: 'vxlan',
    data: `{"VNI":1,"VtepMAC":"${ownMac}"}`,
    v6Data: `{"VNI":1,"VtepMAC":"${ownV6Mac}"}`,
  },
  {
    backend: { Type: 'VXLAN', VNI: 7, Port: 4789 },
    type: 'vxlan',
    data: `{"VNI":7,"VtepMAC":"${ownMac}"}`,
    v6Data: `{"VNI":7,"VtepMAC":"${ownV6Mac}"}`,
  },
  { backend: { Type: 'host-gw' }, type: 'host-gw', data: 'null', v6Data: 'null', always: true },
  {
    backend: { Type: 'wireguard' },
    type: 'wireguard',
    data: `{"PublicKey":"${PublicKey}","Port":51820}`,
    v6Data: `{"PublicKey":"${PublicKey}","Port":51821}`,
    always: true,
  },
  { backend: { Type: 'ipip' }, type: 'ipip', data: 'null', v6Data: '', ipv4Only: true },
];

const external = ({ ipv4, ipv6 }: Families): External => ({
  name: 'eth0',
  mtu: 1500,
  ...(ipv4 && { address: address('192.0.2.1'), publicIP: address('192.0.2.1') }),
  ...(ipv6 && { ipv6Address: address('2001:db8::1'), publicIPv6: address('2001:db8::1') }),
});

const annotationCases = prefixes.flatMap(([given, whole]) =>
  Object.entries(stacks).flatMap(([stack, families]) =>
    kinds
      .filter(({ ipv4Only }) => ipv4Only !== true || !families.ipv6)
      .map((kind) => ({
        title: `${given}, ${stack}, ${JSON.stringify(kind.backend)}`,
        given,
        whole,
        families,
        kind,
      })),
  ),
);

function goWrites({
  whole,
  families: { ipv4, ipv6 },
  kind,
}: (typeof annotationCases)[number]): Record<string, string> {
  return {
    [`${whole}kube-subnet-manager`]: 'true',
    [`${whole}backend-type`]: kind.type,
    ...((ipv4 || kind.always === true) && {
      [`${whole}backend-data`]: ipv4 ? kind.data : 'null',
      [`${whole}public-ip`]: ipv4 ? '192.0.2.1' : '0.0.0.0',
    }),
    ...(ipv6 && { [`${whole}backend-v6-data`]: kind.v6Data, [`${whole}public-ipv6`]: '2001:db8::1' }),
  };
}

describe('the annotations of a Node', () => {
  test.each(annotationCases)('$title', (each) => {
    const { given, families, kind } = each;
    const network = {
      ...(families.ipv4 ? { Network: '10.244.0.0/16' } : { EnableIPv4: false }),
      ...(families.ipv6 && { EnableIPv6: true, IPv6Network: 'fd00:244::/48' }),
    };
    const config = readNetworkConfig(JSON.stringify({ ...network, Backend: kind.backend }));
    const backend = makeBackend(config.backendType, { options: config.backend, network: config.network });
    const { publicIP, publicIPv6 } = external(families);
    const attributes = {
      backendType: backend.type,
      ...(publicIP && { publicIP }),
      ...(publicIPv6 && { publicIPv6 }),
      ...backend.attributes(external(families), identity),
    } as LeaseAttributes;
    const node = nodeOf({ metadata: { name: 'node-1' } });
    expect(annotationsOf(attributes, node, annotationKeys(given))).toEqual(goWrites(each));
  });
});

/** Network, subnet, and its first usable address with the subnet's length. */
const ipv4Networks = [
  ['10.244.0.0/16', '10.244.1.0/24', '10.244.1.1/24'],
  ['10.0.0.0/8', '10.99.0.0/22', '10.99.0.1/22'],
  ['172.20.0.0/24', '172.20.0.64/26', '172.20.0.65/26'],
  ['192.168.128.0/17', '192.168.255.252/30', '192.168.255.253/30'],
] as const;
const ipv6Networks = [
  ['fd00:244::/48', 'fd00:244:0:1::/64', 'fd00:244:0:1::1/64'],
  ['2001:cafe:42::/56', '2001:cafe:42:9::/64', '2001:cafe:42:9::1/64'],
  ['fd00::/104', 'fd00::1:0/112', 'fd00::1:1/112'],
  ['fd00:0:0:ff::/64', 'fd00:0:0:ff::fffc/126', 'fd00:0:0:ff::fffd/126'],
] as const;
const fileCases = Object.entries(stacks).flatMap(([stack, { ipv4, ipv6 }]) =>
  ipv4Networks.flatMap((v4, i) =>
    [1420, 1450, 8950].flatMap((mtu) =>
      [true, false].map((ipMasq) => ({
        title: `${stack}, ${ipv4 ? v4[1] : ''} ${ipv6 ? ipv6Networks[i]?.[1] : ''}, ${mtu}, ${ipMasq}`,
        v4: ipv4 ? v4 : undefined,
        v6: ipv6 ? ipv6Networks[i] : undefined,
        mtu,
        ipMasq,
      })),
    ),
  ),
);

describe('subnet.env', () => {
  test.each(fileCases)('$title', ({ v4, v6, mtu, ipMasq }) => {
    const written = subnetEnvText({
      ...(v4 && { network: prefix(v4[0]), subnet: gatewayOf(prefix(v4[1])) }),
      ...(v6 && { ipv6Network: prefix(v6[0]), ipv6Subnet: gatewayOf(prefix(v6[1])) }),
      mtu,
      ipMasq,
    });
    const ipv4Lines = v4 ? `FLANNEL_NETWORK=${v4[0]}\nFLANNEL_SUBNET=${v4[2]}\n` : '';
    const ipv6Lines = v6 ? `FLANNEL_IPV6_NETWORK=${v6[0]}\nFLANNEL_IPV6_SUBNET=${v6[2]}\n` : '';
    expect(written).toBe(`${ipv4Lines}${ipv6Lines}FLANNEL_MTU=${mtu}\nFLANNEL_IPMASQ=${ipMasq}\n`);
  });
});

test('the book has at least 60 configurations of each', () => {
  for (const cases of [annotationCases, fileCases]) {
    expect(new Set(cases.map(({ title }) => title)).size).toBe(cases.length);
  }
  expect(Math.min(annotationCases.length, fileCases.length)).toBeGreaterThanOrEqual(60);
});
