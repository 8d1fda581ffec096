import { describe, expect, expectTypeOf, test } from 'vitest';
import { address } from '../../src/net/address.ts';
import { type Mac, mac } from '../../src/net/mac.ts';
import type { Address } from '../../src/net/address.ts';
import { CodecError } from '../../src/netlink/codec-error.ts';
import { AF_BRIDGE, AF_INET6, NLA_F_NESTED } from '../../src/netlink/constants.ts';
import { viewOf } from '../../src/netlink/payload.ts';
import { getLink, type LinkMessage, link, newLink, setLink } from '../../src/netlink/route/link.ts';
import { neighbour } from '../../src/netlink/route/neighbour.ts';
import { newRoute, route } from '../../src/netlink/route/route.ts';
import { bodyOf } from './wire.ts';

/** An attribute by hand. */
function attribute(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const payload = Buffer.concat(parts);
  const header = Buffer.alloc(4);
  header.writeUInt16LE(4 + payload.length, 0);
  header.writeUInt16LE(type, 2);
  return Buffer.concat([header, payload, Buffer.alloc(-payload.length & 3)]);
}

const text = (value: string) => Buffer.from(`${value}\0`);
const ifinfomsg = new Uint8Array(16);
const readLink = (...attributes: readonly Uint8Array[]): LinkMessage => {
  const bytes = Buffer.concat([ifinfomsg, ...attributes]);
  return link.decode(viewOf(bytes), 0, bytes.length);
};
const port = (bytes: Uint8Array) =>
  attribute(18, attribute(1, text('vxlan')), attribute(2, attribute(15, bytes)));

describe('reading', () => {
  test('a value of the wrong width is refused, and the error names the way to it', () => {
    expect(() => readLink(port(Uint8Array.of(1)))).toThrow(
      new CodecError('2 bytes expected, 1 found', ['IFLA_LINKINFO', 'IFLA_INFO_DATA', 'IFLA_VXLAN_PORT']),
    );
    expect(() => readLink(port(Uint8Array.of(1)))).toThrow(
      'IFLA_LINKINFO/IFLA_INFO_DATA/IFLA_VXLAN_PORT: 2 bytes expected, 1 found',
    );
    expect(readLink(port(Uint8Array.of(0x21, 0x18))).IFLA_LINKINFO).toEqual({
      IFLA_INFO_KIND: 'vxlan',
      IFLA_INFO_DATA: { IFLA_VXLAN_PORT: 8472 },
    });
  });

  test('a struct that is longer than known is accepted, a shorter one refused', () => {
    const header = Buffer.alloc(12);
    const read = (size: number) => {
      const bytes = Buffer.concat([header, attribute(3, Buffer.alloc(size, 1))]);
      return neighbour.decode(viewOf(bytes), 0, bytes.length).NDA_CACHEINFO;
    };
    const ones = 0x01010101;
    const info = { ndm_confirmed: ones, ndm_used: ones, ndm_updated: ones, ndm_refcnt: ones };
    expect(read(16)).toEqual(info);
    expect(read(24)).toEqual(info);
    expect(() => read(15)).toThrow('NDA_CACHEINFO: 16 bytes expected, 15 found');
    expect(() => neighbour.decode(viewOf(header), 0, 11)).toThrow('12 bytes expected, 11 found');
  });

  test('nests are read with and without NLA_F_NESTED', () => {
    const plain = readLink(attribute(18, attribute(1, text('bridge'))));
    expect(readLink(attribute(18 | NLA_F_NESTED, attribute(1, text('bridge'))))).toEqual(plain);
    expect(plain.IFLA_LINKINFO).toEqual({ IFLA_INFO_KIND: 'bridge' });
  });

  test('unknown attributes survive, flags and all, at every depth', () => {
    const read = readLink(
      attribute(3, text('x')),
      attribute(0x3ff0 | NLA_F_NESTED, Uint8Array.of(1, 2, 3)),
      attribute(18, attribute(1, text('vxlan')), attribute(2, attribute(200, Uint8Array.of(9)))),
    );
    expect(read.unknown).toEqual([{ type: 0x3ff0 | NLA_F_NESTED, bytes: Uint8Array.of(1, 2, 3) }]);
    expect(read.IFLA_LINKINFO?.IFLA_INFO_DATA).toEqual({
      unknown: [{ type: 200, bytes: Uint8Array.of(9) }],
    });
    const written = bodyOf(link, read);
    expect(link.decode(viewOf(written), 0, written.length)).toEqual(read);
  });

  test('a kind that has no table keeps its data as bytes', () => {
    const data = attribute(1, Uint8Array.of(1, 2, 3, 4));
    expect(readLink(attribute(18, attribute(1, text('sit')), attribute(2, data))).IFLA_LINKINFO).toEqual({
      IFLA_INFO_KIND: 'sit',
      unknown: [{ type: 2, bytes: new Uint8Array(data) }],
    });
  });

  test('what follows the last attribute, or runs over the end, is refused', () => {
    expect(() => readLink(Uint8Array.of(1, 0))).toThrow(CodecError);
    expect(() => readLink(Uint8Array.of(200, 0, 3, 0, 0, 0, 0, 0))).toThrow(
      'an attribute of 200 bytes where 8 are left',
    );
    expect(() => readLink(Uint8Array.of(3, 0, 3, 0))).toThrow('an attribute of 3 bytes where 4 are left');
  });

  test('IFLA_AF_SPEC and IFLA_PROTINFO depend on the family', () => {
    const value = { ifi_family: AF_BRIDGE, IFLA_AF_SPEC: { IFLA_BRIDGE_VLAN_INFO: [{ flags: 6, vid: 5 }] } };
    const written = bodyOf(link, value);
    expect(link.decode(viewOf(written), 0, written.length)).toMatchObject(value);
    written[0] = AF_INET6;
    // To every other family the same number is AF_INET's nest, which this is not.
    expect(() => link.decode(viewOf(written), 0, written.length)).toThrow(
      'IFLA_AF_SPEC/AF_INET: an attribute',
    );
  });

  test('an IPv4-mapped address stays the IPv6 address that it is on the wire', () => {
    const mapped = attribute(1, Buffer.from('00000000000000000000ffff0a000001', 'hex'));
    const bytes = Buffer.concat([new Uint8Array(12), mapped]);
    const read = route.decode(viewOf(bytes), 0, bytes.length);
    expect(read.RTA_DST).toBe('::ffff:10.0.0.1');
    expect(Buffer.from(bodyOf(route, read))).toEqual(bytes);
  });

  test('a MAC address is text, another hardware address bytes', () => {
    expect(readLink(attribute(1, Uint8Array.of(2, 0, 0, 0, 0, 1))).IFLA_ADDRESS).toBe('02:00:00:00:00:01');
    expect(readLink(attribute(1, Uint8Array.of(10, 0, 0, 1))).IFLA_ADDRESS).toEqual(
      Uint8Array.of(10, 0, 0, 1),
    );
  });

  test('names are UTF-8, with and without their NUL', () => {
    expect(readLink(attribute(3, Buffer.from('br0'))).IFLA_IFNAME).toBe('br0');
    expect(readLink(attribute(3, text('brücke'))).IFLA_IFNAME).toBe('brücke');
  });
});

describe('writing', () => {
  test('a value out of range is refused, and the error names the message and the way to it', () => {
    const tooLarge = () =>
      newLink({
        IFLA_LINKINFO: { IFLA_INFO_KIND: 'vxlan', IFLA_INFO_DATA: { IFLA_VXLAN_PORT: 70_000 } },
      });
    expect(tooLarge).toThrow(
      'RTM_NEWLINK/IFLA_LINKINFO/IFLA_INFO_DATA/IFLA_VXLAN_PORT: 70000 is out of 0..65535',
    );
    expect(() => newLink({ ifi_index: 1.5 })).toThrow('RTM_NEWLINK/ifi_index: 1.5 is out of');
    expect(() => newLink({ IFLA_IFNAME: 'a\0b' })).toThrow(
      'RTM_NEWLINK/IFLA_IFNAME: "a\\u0000b" holds a NUL',
    );
    expect(() => newRoute({ RTA_DST: '10.0.0.300' as Address })).toThrow(TypeError);
  });

  test('settings of a link are a nest, as the kernel takes them', () => {
    const IFLA_INET_CONF = { IPV4_DEVCONF_ARP_NOTIFY: 1 };
    const settings = attribute(1, attribute(22, Uint8Array.of(1, 0, 0, 0)));
    expect(Buffer.from(bodyOf(link, { IFLA_AF_SPEC: { AF_INET: { IFLA_INET_CONF } } }))).toEqual(
      Buffer.concat([ifinfomsg, attribute(26, attribute(2, settings))]),
    );
  });

  test('undefined is left out', () => {
    expect(newLink({ IFLA_MTU: undefined, IFLA_IFNAME: 'x' }).body).toEqual(
      newLink({ IFLA_IFNAME: 'x' }).body,
    );
  });

  test('an attribute above 64 KiB is refused', () => {
    expect(() => newLink({ IFLA_IFALIAS: 'x'.repeat(70_000) })).toThrow(
      'RTM_NEWLINK/IFLA_IFALIAS: 70005 bytes do not fit into one attribute',
    );
  });

  test('data of a kind without a table is refused', () => {
    const data = { IFLA_INFO_KIND: 'sit', IFLA_INFO_DATA: { x: 1 } };
    expect(() => newLink({ IFLA_LINKINFO: data as LinkMessage['IFLA_LINKINFO'] })).toThrow(
      'RTM_NEWLINK/IFLA_LINKINFO/IFLA_INFO_DATA: nothing known to hold here',
    );
  });
});

describe('types', () => {
  test('come from the tables', () => {
    type Info = NonNullable<LinkMessage['IFLA_LINKINFO']>;
    expectTypeOf<LinkMessage['ifi_index']>().toEqualTypeOf<number>();
    expectTypeOf<LinkMessage['IFLA_ADDRESS']>().toEqualTypeOf<Mac | Uint8Array | undefined>();
    const info = { IFLA_INFO_KIND: 'vxlan', IFLA_INFO_DATA: { IFLA_VXLAN_ID: 1 } } as Info;
    if (info.IFLA_INFO_KIND === 'vxlan') {
      expectTypeOf(info.IFLA_INFO_DATA?.IFLA_VXLAN_LOCAL).toEqualTypeOf<Address | undefined>();
    }
    const ok = getLink({ IFLA_ADDRESS: mac('02:00:00:00:00:01'), ifi_index: 3 });
    expect(ok.name).toBe('RTM_GETLINK');
    // @ts-expect-error -- a name that no table has
    expect(() => newLink({ IFLA_NAME: 'x' })).toThrow('RTM_NEWLINK/IFLA_NAME: no such attribute');
    // @ts-expect-error -- plain text is no address
    expect(newRoute({ RTA_DST: '10.0.0.1' })).toHaveProperty('type');
    expect(newRoute({ RTA_DST: address('10.0.0.1') })).toHaveProperty('type');
  });
});

test('what an earlier message left in the shared buffer is not in a later one', () => {
  setLink({ ifi_index: -1, ifi_flags: 0xffffffff, ifi_change: 0xffffffff, IFLA_IFNAME: 'x'.repeat(15) });
  expect(setLink({ ifi_index: 1, IFLA_IFNAME: 'a' }).body).toEqual(
    Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 3, 0, 0x61, 0, 0, 0),
  );
});
