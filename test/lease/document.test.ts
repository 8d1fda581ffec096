import { describe, expect, test } from 'vitest';
import { leaseDocument, parseLeaseDocument, subnetsNamed } from '../../src/lease/document.ts';
import { lastKnownText, parseLastKnown } from '../../src/lease/last-known.ts';
import type { Lease } from '../../src/lease/lease.ts';
import { address } from '../../src/net/address.ts';
import { prefix } from '../../src/net/prefix.ts';

const lease: Lease = {
  id: 'node-1',
  subnet: prefix('10.244.1.0/24'),
  ipv6Subnet: prefix('fd00:244:0:1::/64'),
  attributes: {
    publicIP: address('192.0.2.1'),
    publicIPv6: address('2001:db8::1'),
    backendType: 'vxlan',
    backendData: { VNI: 1, VtepMAC: '12:c6:65:89:b4:e3' },
    backendV6Data: { VNI: 1, VtepMAC: '12:c6:65:89:b4:e4' },
  },
};

describe('a lease’s document', () => {
  test('is read as it was written', () => {
    expect(parseLeaseDocument('node-1', leaseDocument(lease))).toEqual({ lease });
  });

  test('names are read in any letter case', () => {
    const text = '{"subnet":"10.244.1.0/24","publicip":"192.0.2.1","backendtype":"vxlan"}';
    expect(parseLeaseDocument('a', text)).toMatchObject({ lease: { subnet: '10.244.1.0/24' } });
  });

  test.each([
    ['', /not JSON/],
    ['[]', /must be an object/],
    ['{}', /neither Subnet nor IPv6Subnet/],
    ['{"Subnet":7}', /Subnet must be a string, and is a number/],
    ['{"Subnet":"10.244.1.0"}', /Subnet "10\.244\.1\.0" is no IPv4/],
    ['{"Subnet":"fd00::/64"}', /is no IPv4/],
    ['{"Subnet":"10.244.1.9/24"}', /host bits/],
    ['{"Subnet":"10.244.1.0/24","PublicIP":"x"}', /PublicIP "x" is no IPv4/],
    ['{"Subnet":"10.244.1.0/24","BackendType":{}}', /BackendType must be a string/],
    [Uint8Array.from([0xff]), /UTF-8/],
  ])('%j is refused with a reason', (text, reason) => {
    expect(parseLeaseDocument('a', text)).toEqual({ unreadable: expect.stringMatching(reason) });
  });
});

test('a document that is no lease still names subnets', () => {
  const text =
    '{"Subnet":"10.244.7.0/24","PublicIP":7,"IPv6Subnet":"fd00:7::/64","x":"1.2.3.4/99","BackendDa';
  expect(subnetsNamed(Buffer.from(text))).toEqual(['10.244.7.0/24', 'fd00:7::/64']);
  expect(subnetsNamed(Uint8Array.from([0xff, 0]))).toEqual([]);
});

describe('the last known state', () => {
  test('is read as it was written', () => {
    const peers = [{ ...lease, id: 'node-2' }];
    expect(parseLastKnown(lastKnownText({ own: lease, peers }), 'state.json')).toEqual({ own: lease, peers });
  });

  test('holds thousands of peers', () => {
    const peers = Array.from({ length: 20_000 }, (_, i) => ({ ...lease, id: `node-${i}` }));
    const text = lastKnownText({ own: lease, peers });
    expect(text.length).toBeGreaterThan(4 * 1024 * 1024);
    expect(parseLastKnown(text, 'state.json').peers).toHaveLength(20_000);
  });

  test('single peers that make no sense are left out', () => {
    const state = JSON.parse(lastKnownText({ own: lease, peers: [lease] })) as { peers: unknown[] };
    state.peers.push(7, { id: 'x' }, { id: 'y', lease: { Subnet: 'no' } });
    expect(parseLastKnown(JSON.stringify(state), 'state.json').peers).toEqual([lease]);
  });

  test.each(['', '{}', '{"own":7,"peers":[]}'])('%j is of no use', (text) => {
    expect(() => parseLastKnown(text, 'state.json')).toThrow(/state\.json/);
  });
});
