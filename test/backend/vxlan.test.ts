import { describe, expect, test } from 'vitest';
import { PeerRefusal } from '../../src/backend/backend.ts';
import { vxlan } from '../../src/backend/vxlan.ts';
import { vxlanOptions } from '../../src/backend/vxlan-options.ts';
import { keyOf } from '../../src/kernel/object.ts';
import { textOf } from '../../src/kernel/operation.ts';
import type { LeaseAttributes } from '../../src/lease/lease.ts';
import { address } from '../../src/net/address.ts';
import { external, macOf, peer, self } from './nodes.ts';

const dual = { ipv4: true, ipv6: true };
const backend = vxlan(vxlanOptions({}), dual);

describe('the node', () => {
  test('has a device and a single address in each family', () => {
    expect(backend.planNode(self).map(textOf)).toEqual([
      `link flannel.1 address ${macOf(1, 4)} mtu 1450 vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning`,
      'address 10.244.1.0/32 dev flannel.1',
      `link flannel-v6.1 address ${macOf(1, 6)} mtu 1430 vxlan id 1 local 2001:db8::1 dev eth0 dstport 8472 nolearning`,
      'address fd00:10:244:1::/128 dev flannel-v6.1',
    ]);
    expect(backend.links).toEqual(['flannel.1', 'flannel-v6.1']);
  });

  test.each([
    [{ ipv4: true, ipv6: false }, ['flannel.1']],
    [{ ipv4: false, ipv6: true }, ['flannel-v6.1']],
  ])('in %o has one device', (families, links) => {
    const single = vxlan(vxlanOptions({}), families);
    expect(single.links).toEqual(links);
    expect(single.planNode(self)).toHaveLength(2);
    expect(single.planPeer(self, peer(2))).toHaveLength(3);
  });

  test('takes the public IP for the tunnel, and its own address without one', () => {
    const natted = { ...external, publicIP: address('203.0.113.7') };
    const [link] = backend.planNode({ ...self, external: natted });
    expect(link).toMatchObject({ info: { local: '203.0.113.7' } });
    const { publicIP: _, ...plain } = external;
    expect(backend.planNode({ ...self, external: plain })[0]).toMatchObject({ info: { local: '192.0.2.1' } });
  });

  test('puts the options into the device', () => {
    const other = vxlan(vxlanOptions({ VNI: 7, Port: 4789, Learning: true, GBP: true }), dual);
    expect(other.planNode(self)[0]).toMatchObject({
      name: 'flannel.7',
      info: { vni: 7, port: 4789, learning: true, gbp: true },
    });
    expect(other.links).toEqual(['flannel.7', 'flannel-v6.7']);
  });

  test('without a remembered MAC leaves it to the kernel', () => {
    expect(backend.planNode({ ...self, identity: { macs: {} } })[0]).not.toHaveProperty('mac');
  });
});

describe('MTU', () => {
  test('is flannel’s for pods, and for each device what the kernel lets through', () => {
    expect(backend.mtu(external)).toBe(1450);
    expect(backend.ipv6Mtu(external)).toBe(1430);
    expect(vxlan(vxlanOptions({}), { ipv4: true, ipv6: false }).ipv6Mtu(external)).toBeUndefined();
  });

  test.each([
    // option, pods, flannel.1, flannel-v6.1, of IPv6
    [1400, 1350, 1350, 1350, undefined],
    [1490, 1440, 1440, 1430, 1430],
    [9000, 8950, 1450, 1430, 1430],
  ])('option %d is the outer one', (MTU, pods, ipv4, ipv6, real) => {
    const other = vxlan(vxlanOptions({ MTU }), dual);
    expect(other.mtu(external)).toBe(pods);
    expect(other.ipv6Mtu(external)).toBe(real);
    const mtus = other.planNode(self).flatMap((object) => (object.kind === 'link' ? [object.mtu] : []));
    expect(mtus).toEqual([ipv4, ipv6]);
  });
});

describe('what peers are told', () => {
  test('is flannel’s JSON to the byte', () => {
    const { backendData, backendV6Data } = backend.attributes(external, self.identity);
    expect(JSON.stringify(backendData)).toBe('{"VNI":1,"VtepMAC":"02:00:00:04:00:01"}');
    expect(JSON.stringify(backendV6Data)).toBe('{"VNI":1,"VtepMAC":"02:00:00:06:00:01"}');
  });

  test('is nothing for a family that the network does not have', () => {
    const single = vxlan(vxlanOptions({}), { ipv4: false, ipv6: true });
    expect(single.attributes(external, self.identity).backendData).toBeUndefined();
  });
});

describe('a peer', () => {
  test('has a neighbour, an FDB entry and an onlink route in each family', () => {
    expect(backend.planPeer(self, peer(2)).map(textOf)).toEqual([
      `neighbour 10.244.2.0 lladdr ${macOf(2, 4)} dev flannel.1`,
      `fdb ${macOf(2, 4)} dst 192.0.2.2 dev flannel.1`,
      'route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink',
      `neighbour fd00:10:244:2:: lladdr ${macOf(2, 6)} dev flannel-v6.1`,
      `fdb ${macOf(2, 6)} dst 2001:db8::2 dev flannel-v6.1`,
      'route fd00:10:244:2::/64 via fd00:10:244:2:: dev flannel-v6.1 onlink',
    ]);
  });

  test('has keys that no other peer has', () => {
    const keys = [2, 3, 4].flatMap((n) => backend.planPeer(self, peer(n)).map(keyOf));
    expect(new Set(keys).size).toBe(18);
  });

  test('has a plain route where direct routing is on and no router between', () => {
    const direct = vxlan(vxlanOptions({ DirectRouting: true }), dual);
    expect(direct.planPeer(self, peer(2, {}, true)).map(textOf)).toEqual([
      'route 10.244.2.0/24 via 192.0.2.2',
      'route fd00:10:244:2::/64 via 2001:db8::2',
    ]);
    expect(direct.planPeer(self, peer(2, {}, false))).toHaveLength(6);
    expect(backend.planPeer(self, peer(2, {}, true))).toHaveLength(6);
    const onlyIPv4 = { ...peer(2), onLink: { ipv4: true, ipv6: false } };
    expect(direct.planPeer(self, onlyIPv4)).toHaveLength(4);
  });

  test.each<[Partial<LeaseAttributes>, string]>([
    [{ backendType: 'host-gw' }, 'its backend is "host-gw", and this node\'s is "vxlan"'],
    [{ backendType: '' }, 'its backend is "", and this node\'s is "vxlan"'],
    [{ backendType: 'VXLAN' }, 'its backend is "VXLAN", and this node\'s is "vxlan"'],
    [{ publicIP: undefined as never }, 'it has no public IPv4 address'],
    [{ publicIPv6: undefined as never }, 'it has no public IPv6 address'],
    [{ backendData: undefined }, 'its backend-data has no VtepMAC'],
    [{ backendData: null }, 'its backend-data has no VtepMAC'],
    [{ backendData: 'null' }, 'its backend-data has no VtepMAC'],
    [{ backendData: [] }, 'its backend-data has no VtepMAC'],
    [{ backendData: { VNI: 1 } }, 'its backend-data has no VtepMAC'],
    [{ backendData: { VNI: 1, VtepMAC: 7 } }, 'its backend-data has no VtepMAC'],
    [{ backendV6Data: { VNI: 1, VtepMAC: '' } }, 'its VtepMAC "" in backend-v6-data is no MAC address'],
    [{ backendData: { VtepMAC: 'no\nmac' } }, 'its VtepMAC "no\\nmac" in backend-data is no MAC address'],
    [
      { backendData: { VtepMAC: '00:00:00:00:00:00' } },
      'its VtepMAC 00:00:00:00:00:00 in backend-data is no address of a single device',
    ],
    [
      { backendData: { VtepMAC: '01:00:5e:00:00:01' } },
      'its VtepMAC 01:00:5e:00:00:01 in backend-data is no address of a single device',
    ],
    [{ backendData: { VtepMAC: macOf(1, 4) } }, `its VtepMAC ${macOf(1, 4)} is this node's own`],
  ])('with %j is refused', (attributes, reason) => {
    expect(() => backend.planPeer(self, peer(2, attributes))).toThrow(reason);
  });

  const refusal = (n: number, attributes: Partial<LeaseAttributes>): PeerRefusal | undefined => {
    try {
      backend.planPeer(self, peer(n, attributes));
      return undefined;
    } catch (error) {
      return error as PeerRefusal;
    }
  };

  test('with another VNI is joined, as by Go flannel, and named', () => {
    const other = refusal(2, { backendData: { VNI: 9, VtepMAC: macOf(2, 4) } });
    expect(other?.objects).toHaveLength(6);
    expect(other?.message).toContain("its VNI in backend-data is 9, and this node's is 1, so packets");
    expect(refusal(2, { backendData: { VtepMAC: macOf(2, 4) } })).toBeUndefined();
  });

  test('that lacks something in one family is joined in the other, and named', () => {
    const noIPv6 = refusal(2, { publicIPv6: undefined as never });
    expect(noIPv6).toBeInstanceOf(PeerRefusal);
    expect(noIPv6?.message).toBe('in part, since it has no public IPv6 address');
    expect(noIPv6?.objects.map(textOf)).toEqual([
      `neighbour 10.244.2.0 lladdr ${macOf(2, 4)} dev flannel.1`,
      `fdb ${macOf(2, 4)} dst 192.0.2.2 dev flannel.1`,
      'route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink',
    ]);
    expect(refusal(2, { backendData: null })?.objects).toHaveLength(3);
    expect(refusal(2, { backendData: null, backendV6Data: null })).toMatchObject({
      message: 'its backend-data has no VtepMAC; its backend-v6-data has no VtepMAC',
      objects: [],
    });
  });

  test('without a subnet in one of the families is refused', () => {
    const { lease, onLink } = peer(2);
    const { ipv6Subnet: _, ...half } = lease;
    expect(() => backend.planPeer(self, { lease: half, onLink })).toThrow('it has no IPv6 subnet');
  });
});
