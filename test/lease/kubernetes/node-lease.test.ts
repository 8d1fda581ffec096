import { describe, expect, test } from 'vitest';
import { annotationKeys, defaultPrefix } from '../../../src/lease/kubernetes/annotations.ts';
import { annotationsOf, leaseOfNode } from '../../../src/lease/kubernetes/node-lease.ts';
import { nodeOf } from '../../../src/lease/kubernetes/node-object.ts';
import type { LeaseAttributes } from '../../../src/lease/lease.ts';
import { address } from '../../../src/net/address.ts';
import { prefix } from '../../../src/net/prefix.ts';

const keys = annotationKeys(defaultPrefix);
const ipv4 = { ipv4: prefix('10.244.0.0/16') };
const dual = { ...ipv4, ipv6: prefix('fd00:244::/56') };
const good = { podCIDR: '10.244.1.0/24' };
const nodeWith = (annotations: Record<string, unknown>, spec: unknown = good) =>
  nodeOf({ metadata: { name: 'a', uid: 'u', annotations }, spec });
const publicIP = address('192.0.2.1');
const publicIPv6 = address('2001:db8::1');

/** Go flannel's annotations, from its rules; the keys without their prefix. */
describe('what is written for', () => {
  const vtep = { VNI: 1, VtepMAC: '12:c6:65:89:b4:e3' };
  const vtepText = '{"VNI":1,"VtepMAC":"12:c6:65:89:b4:e3"}';
  const wg = { PublicKey: 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=', Port: 51820 };
  const wgText = '{"PublicKey":"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=","Port":51820}';
  const v4 = { 'public-ip': '192.0.2.1' };
  const v6 = { 'public-ipv6': '2001:db8::1' };
  const nothing = { 'public-ip': '0.0.0.0', 'backend-data': 'null' };
  const cases: [string, LeaseAttributes, Record<string, string>][] = [
    ['vxlan v4', { backendType: 'vxlan', publicIP, backendData: vtep }, { ...v4, 'backend-data': vtepText }],
    [
      'vxlan dual',
      { backendType: 'vxlan', publicIP, publicIPv6, backendData: vtep, backendV6Data: vtep },
      { ...v4, ...v6, 'backend-data': vtepText, 'backend-v6-data': vtepText },
    ],
    [
      'vxlan v6',
      { backendType: 'vxlan', publicIPv6, backendV6Data: vtep },
      { ...v6, 'backend-v6-data': vtepText },
    ],
    [
      'wireguard v4',
      { backendType: 'wireguard', publicIP, backendData: wg },
      { ...v4, 'backend-data': wgText },
    ],
    [
      'wireguard dual',
      { backendType: 'wireguard', publicIP, publicIPv6, backendData: wg, backendV6Data: wg },
      { ...v4, ...v6, 'backend-data': wgText, 'backend-v6-data': wgText },
    ],
    [
      'wireguard v6',
      { backendType: 'wireguard', publicIPv6, backendV6Data: wg },
      { ...nothing, ...v6, 'backend-v6-data': wgText },
    ],
    ['host-gw v4', { backendType: 'host-gw', publicIP }, { ...v4, 'backend-data': 'null' }],
    [
      'host-gw dual',
      { backendType: 'host-gw', publicIP, publicIPv6 },
      { ...v4, ...v6, 'backend-data': 'null', 'backend-v6-data': 'null' },
    ],
    ['host-gw v6', { backendType: 'host-gw', publicIPv6 }, { ...nothing, ...v6, 'backend-v6-data': 'null' }],
    ['ipip', { backendType: 'ipip', publicIP }, { ...v4, 'backend-data': 'null' }],
    ['alloc, which has no name', { backendType: '', publicIP }, { ...v4, 'backend-data': 'null' }],
    [
      'extension, in the manner of Go',
      { backendType: 'extension', publicIP, backendData: 'a<b>&\u2028"' },
      { ...v4, 'backend-data': String.raw`"a\u003cb\u003e\u0026\u2028\""` },
    ],
  ];
  test.each(cases)('%s', (_what, attributes, written) => {
    const all = { 'kube-subnet-manager': 'true', 'backend-type': attributes.backendType, ...written };
    const whole = Object.fromEntries(
      Object.entries(all).map(([key, value]) => [`${defaultPrefix}/${key}`, value]),
    );
    expect(annotationsOf(attributes, nodeWith({}), keys)).toEqual(whole);
  });
});

describe('a Node', () => {
  const managed = { [keys.managed]: 'true', [keys.publicIP]: '192.0.2.1', [keys.backendType]: 'vxlan' };

  test.each([[{}], [{ [keys.managed]: 'false' }], [{ [keys.managed]: true }]])(
    'without a lease: %j',
    (annotations) => {
      expect(leaseOfNode(nodeWith(annotations), keys, ipv4)).toBeUndefined();
    },
  );

  test('has the first subnet of each family, its host bits away', () => {
    const spec = { podCIDR: '10.9.0.0/24', podCIDRs: ['fd00:244:0:1::/64', '10.244.1.7/24'] };
    expect(leaseOfNode(nodeWith(managed, spec), keys, ipv4)).toEqual({
      lease: {
        id: 'a',
        subnet: '10.244.1.0/24',
        ipv6Subnet: 'fd00:244:0:1::/64',
        attributes: { publicIP: '192.0.2.1', backendType: 'vxlan' },
      },
    });
  });

  test('that says nothing for IPv4 has no IPv4 address', () => {
    const annotations = {
      ...managed,
      [keys.publicIP]: '0.0.0.0',
      [keys.backendData]: 'null',
      [keys.backendV6Data]: '',
    };
    expect(leaseOfNode(nodeWith(annotations), keys, dual)).toEqual({
      lease: { id: 'a', subnet: '10.244.1.0/24', attributes: { backendType: 'vxlan' } },
    });
  });

  test('is not judged by a family that the network does not have', () => {
    const annotations = { ...managed, [keys.publicIPv6]: 'junk', [keys.backendV6Data]: '{' };
    expect(leaseOfNode(nodeWith(annotations), keys, ipv4)).toHaveProperty('lease');
    expect(leaseOfNode(nodeWith(annotations), keys, dual)).toHaveProperty('unreadable');
  });

  test.each([
    [
      { [keys.publicIP]: '2001:db8::1' },
      good,
      `its annotation ${keys.publicIP}, "2001:db8::1", is no IPv4 address`,
    ],
    [{ [keys.publicIP]: 'x'.repeat(500) }, good, `"${'x'.repeat(60)}...", is no IPv4 address`],
    [{ [keys.backendData]: '{"VNI":' }, good, `its annotation ${keys.backendData} is not JSON`],
    [{}, { podCIDRs: ['10.244.1/24'] }, 'its podCIDR "10.244.1/24" is no address with a prefix length'],
    [{}, { podCIDRs: ['10.1.0.0/24', '10.2.0.0/24', '10.3.0.0/24'] }, 'it has 3 podCIDRs'],
    [{}, { podCIDRs: [7], podCIDR: '' }, 'it has no podCIDR'],
    [{}, 'nothing', 'it has no podCIDR'],
  ])('of nonsense is named with the reason', (annotations, spec, why) => {
    const node = nodeWith({ ...managed, ...annotations }, spec);
    expect(leaseOfNode(node, keys, ipv4)).toEqual({ unreadable: expect.stringContaining(why) });
  });
});
