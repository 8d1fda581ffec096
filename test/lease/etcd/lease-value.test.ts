import { describe, expect, test } from 'vitest';
import { leaseValue, parseLeaseValue } from '../../../src/lease/etcd/lease-value.ts';
import type { LeaseAttributes } from '../../../src/lease/lease.ts';
import { address } from '../../../src/net/address.ts';
import { prefix } from '../../../src/net/prefix.ts';

const subnets = { subnet: prefix('10.5.1.0/24') };
const parse = (text: string) => parseLeaseValue('10.5.1.0-24', subnets, Buffer.from(text));

describe('the value of a lease', () => {
  // As Go's encoding/json writes flannel's LeaseAttrs.
  test.each<[string, LeaseAttributes]>([
    [
      '{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"c6:bf:0d:6c:7f:4c"}}',
      {
        publicIP: address('192.168.64.3'),
        backendType: 'vxlan',
        backendData: { VNI: 1, VtepMAC: 'c6:bf:0d:6c:7f:4c' },
      },
    ],
    [
      '{"PublicIP":"192.168.64.3","PublicIPv6":"fd00:a::3","BackendType":"wireguard","BackendData":{"PublicKey":"a+b/c=","Port":51820},"BackendV6Data":{"PublicKey":"a+b/c=","Port":51821}}',
      {
        publicIP: address('192.168.64.3'),
        publicIPv6: address('fd00:a::3'),
        backendType: 'wireguard',
        backendData: { PublicKey: 'a+b/c=', Port: 51820 },
        backendV6Data: { PublicKey: 'a+b/c=', Port: 51821 },
      },
    ],
    [
      '{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"host-gw"}',
      { publicIP: address('192.168.64.3'), backendType: 'host-gw' },
    ],
    ['{"PublicIP":"192.168.64.3","PublicIPv6":null}', { publicIP: address('192.168.64.3'), backendType: '' }],
    [
      '{"PublicIP":"0.0.0.0","PublicIPv6":"fd00:a::3","BackendType":"host-gw"}',
      { publicIPv6: address('fd00:a::3'), backendType: 'host-gw' },
    ],
    [
      '{"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"extension","BackendData":"a \\u003cb\\u003e \\u0026 \\u2028"}',
      {
        publicIP: address('192.168.64.3'),
        backendType: 'extension',
        backendData: 'a <b> & \u2028',
      },
    ],
  ])('%s is written byte for byte, and read', (text, attributes) => {
    expect(leaseValue(attributes)).toBe(text);
    expect(parse(text)).toEqual({ lease: { id: '10.5.1.0-24', ...subnets, attributes } });
  });

  test('null backend data is none', () => {
    const attributes = { publicIP: address('192.0.2.1'), backendType: 'host-gw' };
    expect(leaseValue({ ...attributes, backendData: null, backendV6Data: null })).toBe(
      leaseValue(attributes),
    );
  });

  test('says nothing of its subnet: that is the key', () => {
    expect(parse('{"PublicIP":"192.0.2.1","Subnet":"10.9.0.0/16","SUBNET":"0.0.0.0/0"}')).toMatchObject({
      lease: subnets,
    });
  });

  test.each([
    ['', /not JSON/],
    ['{"PublicIP":', /not JSON/],
    ['[]', /must be an object/],
    ['{"PublicIP":7}', /PublicIP must be a string/],
    ['{"PublicIP":"fd00::1"}', /no IPv4 address/],
    ['{"PublicIPv6":"::ffff:10.0.0.1"}', /no IPv6 address/],
    ['{"BackendType":{}}', /BackendType must be a string/],
    [`{"PublicIP":"192.0.2.1","x":"${'y'.repeat(70_000)}"}`, /7\d{4} bytes; 65536 are allowed/],
    ['\ufffe\u0000', /not JSON/],
  ])('%.40s is no lease', (text, reason) => {
    expect(parse(text)).toEqual({ unreadable: expect.stringMatching(reason) });
  });
});
