import { describe, expect, test } from 'vitest';
import type { Backend, Self } from '../../src/backend/backend.ts';
import { makeBackend } from '../../src/backend/backends.ts';
import { macsOf } from '../../src/daemon/devices/identity.ts';
import { gatewayOf, subnetEnvText } from '../../src/daemon/files/subnet-env.ts';
import { textOf } from '../../src/kernel/operation.ts';
import { annotationKeys, defaultPrefix } from '../../src/lease/kubernetes/annotations.ts';
import { announcement } from '../../src/lease/kubernetes/announcement.ts';
import { annotationsOf, leaseOfNode } from '../../src/lease/kubernetes/node-lease.ts';
import { nodeOf } from '../../src/lease/kubernetes/node-object.ts';
import type { Lease } from '../../src/lease/lease.ts';
import { address } from '../../src/net/address.ts';
import { mac } from '../../src/net/mac.ts';
import { prefix } from '../../src/net/prefix.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { newLink } from '../../src/netlink/route/link.ts';
import { publicKeyOf, Secret } from '../../src/wireguard/key.ts';
import { readNetworkConfig } from '../kit/network-config.ts';
import { FakeKernel } from '../netlink/fake-kernel.ts';
import {
  type GoCluster,
  goAnnotations,
  type GoNode,
  goNode,
  goNotices,
  goPeer,
  goSubnetEnv,
  netConf,
} from './go-flannel.ts';

/** The contract that holds a cluster of Go flannel and Flannelette together, point by point. */

const keys = annotationKeys(defaultPrefix);
const shapes: GoCluster[] = (['vxlan', 'host-gw'] as const).flatMap((backend) =>
  [false, true].map((dualStack) => ({ backend, dualStack })),
);
const configOf = (shape: GoCluster) => readNetworkConfig(JSON.stringify(netConf(shape)));
const backendOf = (shape: GoCluster): Backend => {
  const { backendType, backend: options, network } = configOf(shape);
  return makeBackend(backendType, { options, network });
};

/** A node of ours with the very addresses of Go's. */
function self(shape: GoCluster, node: GoNode): Self {
  const { network } = configOf(shape);
  return {
    lease: {
      id: node.name,
      subnet: prefix(node.subnet),
      ...(network.ipv6 && { ipv6Subnet: prefix(node.ipv6Subnet) }),
      attributes: { backendType: shape.backend },
    },
    external: {
      name: 'eth0',
      mtu: 1500,
      address: address(node.publicIP),
      publicIP: address(node.publicIP),
      ...(network.ipv6 && { ipv6Address: address(node.publicIPv6), publicIPv6: address(node.publicIPv6) }),
    },
    identity: { macs: { 'flannel.1': mac(node.mac), 'flannel-v6.1': mac(node.ipv6Mac) } },
  };
}

/** A Node as Go flannel has annotated it. */
function leaseOfGo(shape: GoCluster, node: GoNode, annotations = goAnnotations(shape, node)): Lease {
  const podCIDRs = [node.subnet, ...(shape.dualStack ? [node.ipv6Subnet] : [])];
  const document = { metadata: { name: node.name, annotations }, spec: { podCIDRs } };
  const entry = leaseOfNode(nodeOf(document), keys, configOf(shape).network);
  if (entry === undefined || 'unreadable' in entry) throw new TypeError(`no lease: ${entry?.unreadable}`);
  return entry.lease;
}

const published = (shape: GoCluster, node: GoNode, backend = backendOf(shape)) => {
  const { external, identity } = self(shape, node);
  const attributes = {
    backendType: backend.type,
    publicIP: external.publicIP,
    publicIPv6: external.publicIPv6,
    ...backend.attributes(external, identity),
  } as Lease['attributes'];
  return annotationsOf(attributes, nodeOf({ metadata: { name: node.name } }), keys);
};

describe.each(shapes)('$backend, dual stack: $dualStack', (shape) => {
  test('1 what we publish has the bytes that Go flannel would write', () => {
    expect(published(shape, goNode(1))).toEqual(goAnnotations(shape, goNode(1)));
  });

  test('2 what a Node of Go’s says is planned as Go flannel would do it, entry by entry', () => {
    const lease = leaseOfGo(shape, goNode(2));
    const onLink = { ipv4: true, ipv6: true };
    const planned = backendOf(shape)
      .planPeer(self(shape, goNode(1)), { lease, onLink })
      .map(textOf);
    const asCommands = planned.map((line) =>
      line
        .replace(
          /^neighbour (\S+) (.*)$/,
          (_, to: string, rest: string) =>
            `ip${to.includes(':') ? ' -6' : ''} neigh replace ${to} ${rest} nud permanent`,
        )
        .replace(/^fdb (\S+) dst (\S+) dev (\S+)$/, 'bridge fdb replace $1 dev $3 dst $2 self permanent')
        .replace(/^route (\S+)/, (_, to: string) => `ip${to.includes(':') ? ' -6' : ''} route replace ${to}`),
    );
    expect(asCommands).toEqual(goPeer(shape, goNode(2)));
  });

  test('10 subnet.env has Go flannel’s keys, order and values', () => {
    const node = goNode(1);
    const { network } = configOf(shape);
    const text = subnetEnvText({
      ...(network.ipv4 && { network: network.ipv4, subnet: gatewayOf(prefix(node.subnet)) }),
      ...(network.ipv6 && { ipv6Network: network.ipv6, ipv6Subnet: gatewayOf(prefix(node.ipv6Subnet)) }),
      mtu: backendOf(shape).mtu(self(shape, node).external),
      ipMasq: true,
    });
    expect(text).toBe(goSubnetEnv(shape, node));
  });
});

describe('3 the MAC that peers know', () => {
  const shape = { backend: 'vxlan', dualStack: true } as const;
  const random = () => Uint8Array.of(1, 2, 3, 4, 5, 6);
  const macs = (kernel: FakeKernel, lease: Lease | undefined) =>
    macsOf(backendOf(shape), new SyncSession(kernel.open()), [lease], random);
  const noted = leaseOfGo(shape, goNode(1));

  test('is that of the device which is there, whatever the annotation says', () => {
    const kernel = new FakeKernel();
    const made = { IFLA_IFNAME: 'flannel.1', IFLA_ADDRESS: mac('12:c6:65:00:00:01') };
    const IFLA_LINKINFO = { IFLA_INFO_KIND: 'vxlan' as const, IFLA_INFO_DATA: { IFLA_VXLAN_ID: 1 } };
    new SyncSession(kernel.open()).request(newLink({ ...made, IFLA_LINKINFO }));
    expect(macs(kernel, noted)).toEqual({
      'flannel.1': made.IFLA_ADDRESS,
      'flannel-v6.1': goNode(1).ipv6Mac,
    });
  });

  test('is that of the annotation where there is no device', () => {
    expect(macs(new FakeKernel(), noted)).toEqual({
      'flannel.1': goNode(1).mac,
      'flannel-v6.1': goNode(1).ipv6Mac,
    });
  });

  test('is found in any JSON, under a prefix with a slash as well', () => {
    const own = annotationKeys('example.com/pods');
    const annotations = {
      [own.managed]: 'true',
      [own.backendType]: 'vxlan',
      [own.publicIP]: '192.0.2.1',
      [own.backendData]: ' { "More": {"VtepMAC": 7}, "VtepMAC" : "12:c6:65:00:00:07", "VNI": 1 } ',
    };
    const node = nodeOf({ metadata: { name: 'node-1', annotations }, spec: { podCIDR: '10.244.1.0/24' } });
    const entry = leaseOfNode(node, own, { ipv4: prefix('10.244.0.0/16') });
    const lease = entry !== undefined && 'lease' in entry ? entry.lease : undefined;
    expect(macs(new FakeKernel(), lease)['flannel.1']).toBe('12:c6:65:00:00:07');
  });

  test('can be read by Go flannel’s own reader of annotations, which knows no JSON', () => {
    const text = published(shape, goNode(1))[keys.backendData] ?? '';
    const parts = text.replace(/^["}]+|["}]+$/g, '').split(':"');
    expect([parts.length, parts[1]]).toEqual([2, goNode(1).mac]);
  });
});

describe('4 peers that run Go flannel in dual stack notice only a change of both families', () => {
  const shape = { backend: 'vxlan', dualStack: true } as const;
  const before = goAnnotations(shape, goNode(1));
  const told = (wanted: Record<string, string>) => {
    const node = nodeOf({ metadata: { name: 'node-1', annotations: before } });
    const changed = Object.entries(wanted).filter(([key, value]) => before[key] !== value);
    const states = [before];
    for (const step of announcement(Object.fromEntries(changed), node, keys)) {
      states.push({ ...states.at(-1), ...step });
    }
    return states;
  };
  const noticed = (states: Record<string, string>[]) =>
    states.slice(1).map((state, i) => goNotices(true, states[i] ?? {}, state));

  test.each([
    ['the IPv4 address', { [keys.publicIP]: '192.0.2.77' }],
    ['the IPv6 address', { [keys.publicIPv6]: '2001:db8::77' }],
    ['the MAC of the IPv6 device', { [keys.backendV6Data]: '{"VNI":1,"VtepMAC":"12:c6:65:00:00:01"}' }],
  ])(
    'so %s is told beside a change of the other family that means nothing, which is then taken back',
    (_what, change) => {
      const wanted = { ...before, ...change };
      const states = told(wanted);
      expect(noticed(states)).toEqual([true, false]);
      expect(states.at(-1)).toEqual(wanted);
      const [, first = {}] = states;
      expect(leaseOfGo(shape, goNode(1), first)).toEqual(leaseOfGo(shape, goNode(1), wanted));
    },
  );

  test('a change of both is told once, and so is one of an IPv4 network', () => {
    const both = { ...before, [keys.publicIP]: '192.0.2.77', [keys.publicIPv6]: '2001:db8::77' };
    expect(noticed(told(both))).toEqual([true]);
    const alone = goAnnotations({ backend: 'vxlan', dualStack: false }, goNode(1));
    const node = nodeOf({ metadata: { name: 'node-1', annotations: alone } });
    expect(announcement({ [keys.publicIP]: '192.0.2.77' }, node, keys)).toHaveLength(1);
  });

  test('an IPv4 network that becomes dual-stack is noticed by those that are so already', () => {
    const alone = goAnnotations({ backend: 'vxlan', dualStack: false }, goNode(1));
    const node = nodeOf({ metadata: { name: 'node-1', annotations: alone } });
    const added = Object.entries(before).filter(([key]) => !(key in alone));
    const [first = {}] = announcement(Object.fromEntries(added), node, keys);
    expect(goNotices(true, alone, { ...alone, ...first })).toBe(true);
  });

  test('a Node that nobody knows yet needs no more than one', () => {
    expect(announcement(before, nodeOf({ metadata: { name: 'node-1' } }), keys)).toEqual([before]);
  });
});

describe('6 wireguard', () => {
  const config = (Mode: string) =>
    readNetworkConfig(
      JSON.stringify({
        ...netConf({ backend: 'vxlan', dualStack: true }),
        Backend: { Type: 'wireguard', Mode },
      }),
    );
  const make = (Mode: string) => {
    const { backendType, backend: options, network } = config(Mode);
    return makeBackend(backendType, { options, network });
  };
  const privateKey = new Secret(new Uint8Array(32).fill(64));
  const wireguard = { privateKey, publicKey: publicKeyOf(privateKey), userspace: false };
  const shape = { backend: 'vxlan', dualStack: true } as const;
  const ours = { ...self(shape, goNode(1)), identity: { macs: {}, wireguard } };
  const PublicKey = Buffer.alloc(32, 2).toString('base64');
  const endpoint = (Mode: string, data: object, dataV6: object) => {
    const lease = leaseOfGo(shape, goNode(2), {
      ...goAnnotations(shape, goNode(2)),
      [keys.backendType]: 'wireguard',
      [keys.backendData]: JSON.stringify(data),
      [keys.backendV6Data]: JSON.stringify(dataV6),
    });
    const planned = make(Mode).planPeer(ours, { lease, onLink: { ipv4: true, ipv6: true } });
    return planned.map((object) => (object.kind === 'wireguardPeer' ? object.endpoint : undefined));
  };

  test('the port is published, and in a mode with one tunnel it is the real one in both families', () => {
    const text = (Mode: string) => {
      const { backendData, backendV6Data } = make(Mode).attributes(ours.external, ours.identity);
      return [backendData, backendV6Data].map((data) => JSON.stringify(data));
    };
    const data = (port: number) => `{"PublicKey":"${wireguard.publicKey}","Port":${port}}`;
    expect(text('separate')).toEqual([data(51820), data(51821)]);
    for (const mode of ['auto', 'ipv4', 'ipv6']) expect(text(mode)).toEqual([data(51820), data(51820)]);
  });

  test('a peer without a port is taken to listen where this node does', () => {
    expect(endpoint('separate', { PublicKey }, { PublicKey })).toEqual([
      '192.0.2.2:51820',
      '[2001:db8::2]:51821',
    ]);
  });

  test('a peer of Go’s with one tunnel is dialled at the port on which it listens, not at the one it tells for IPv6', () => {
    const told = [
      { PublicKey, Port: 51820 },
      { PublicKey, Port: 51821 },
    ] as const;
    expect(endpoint('ipv6', ...told)).toEqual(['[2001:db8::2]:51820']);
  });
});

test('7 host-gw: a peer behind a router is refused by name, and what it could not reach is no route', () => {
  const shape = { backend: 'host-gw', dualStack: true } as const;
  const lease = leaseOfGo(shape, goNode(2));
  const plan = (ipv4: boolean, ipv6: boolean) =>
    backendOf(shape).planPeer(self(shape, goNode(1)), { lease, onLink: { ipv4, ipv6 } });
  expect(() => plan(false, true)).toThrow('its public address 192.0.2.2 is behind a router');
  expect(() => plan(true, false)).toThrow('its public address 2001:db8::2 is behind a router');
});

describe('11 net-conf.json', () => {
  test('has its keys in any letter case', () => {
    const text =
      '{"network":"10.244.7.9/16","enableipv6":true,"IPV6NETWORK":"fd00:244::/56","backend":{"type":"VXLAN"}}';
    expect(readNetworkConfig(text)).toMatchObject({
      network: { ipv4: '10.244.0.0/16', ipv6: 'fd00:244::/56' },
      backendType: 'vxlan',
    });
  });

  test('without Backend means udp, which is refused with what to do', () => {
    const { backendType, backend: options, network } = readNetworkConfig('{"Network":"10.244.0.0/16"}');
    expect(() => makeBackend(backendType, { options, network })).toThrow(
      /Backend is missing, which means "udp".*use "vxlan"/,
    );
  });
});

describe('12 a Node', () => {
  const shape = { backend: 'vxlan', dualStack: false } as const;

  test('with another backend is named, and no error', () => {
    const lease = leaseOfGo(
      shape,
      goNode(2),
      goAnnotations({ backend: 'host-gw', dualStack: false }, goNode(2)),
    );
    expect(() =>
      backendOf(shape).planPeer(self(shape, goNode(1)), { lease, onLink: { ipv4: true, ipv6: true } }),
    ).toThrow('its backend is "host-gw", and this node\'s is "vxlan"');
  });

  test('without flannel’s annotations is nobody', () => {
    const document = { metadata: { name: 'x', annotations: {} }, spec: { podCIDRs: ['10.244.9.0/24'] } };
    expect(leaseOfNode(nodeOf(document), keys, configOf(shape).network)).toBeUndefined();
  });
});
