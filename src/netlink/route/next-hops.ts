import { type Address, familyOf } from '../../net/address.ts';
import { type AttributesOf, AttributeTable } from '../attributes.ts';
import { address, binary } from '../binary.ts';
import { CodecError, within } from '../codec-error.ts';
import { AF_INET, AF_INET6 } from '../constants.ts';
import type { Payload, ValueOf } from '../payload.ts';
import { i32, u16, u32, u8 } from '../scalar.ts';
import { struct } from '../struct.ts';
import { align } from '../writer.ts';

/** RTA_VIA, struct rtvia: a gateway whose family is not the route's. */
export const via: Payload<Address> = {
  shape: { kind: 'address' },
  decode(view, start, end) {
    if (end - start < 2) throw new CodecError(`2 bytes expected, ${end - start} found`);
    const family = view.getUint16(start, true);
    const length = family === AF_INET ? 4 : family === AF_INET6 ? 16 : undefined;
    if (length !== end - start - 2) throw new CodecError(`family ${family} with ${end - start - 2} bytes`);
    return address.decode(view, start + 2, end);
  },
  encode(writer, value) {
    const at = writer.reserve(2);
    writer.view.setUint16(at, familyOf(value) === 4 ? AF_INET : AF_INET6, true);
    address.encode(writer, value);
  },
};

const fields = {
  RTA_GATEWAY: [5, address],
  RTA_FLOW: [11, u32],
  RTA_VIA: [18, via],
  RTA_NEWDST: [19, binary],
  RTA_ENCAP_TYPE: [21, u16],
  RTA_ENCAP: [22, binary],
} as const;
const table = new AttributeTable(fields);

/** struct rtnexthop; the length of each is written by us. */
const rtnexthop = struct({ rtnh_len: u16, rtnh_flags: u8, rtnh_hops: u8, rtnh_ifindex: i32 });
const shape = struct({ rtnh_flags: u8, rtnh_hops: u8, rtnh_ifindex: i32 });
const skip = new Set(rtnexthop.names);

export type NextHop = ValueOf<typeof shape> & AttributesOf<typeof fields>;

/** RTA_MULTIPATH. `rtnh_hops` is the weight less one. */
export const nextHops: Payload<NextHop[]> = {
  shape: {
    kind: 'list',
    item: { kind: 'nested', fields, header: shape.shape, headerSize: rtnexthop.size },
  },
  decode(view, start, end) {
    const hops: NextHop[] = [];
    for (let offset = start; offset < end; ) {
      try {
        const { rtnh_len, ...hop } = rtnexthop.decode(view, offset, end);
        if (rtnh_len < rtnexthop.size || rtnh_len > end - offset) {
          throw new CodecError(`a next hop of ${rtnh_len} bytes where ${end - offset} are left`);
        }
        table.decode(view, offset + rtnexthop.size, offset + rtnh_len, hop);
        hops.push(hop);
        offset += align(rtnh_len);
      } catch (error) {
        throw within(`[${hops.length}]`, error);
      }
    }
    return hops;
  },
  encode(writer, hops) {
    for (const hop of hops) {
      const start = writer.length;
      rtnexthop.encode(writer, hop);
      table.encode(writer, { ...hop }, skip);
      writer.view.setUint16(start, writer.length - start, true);
    }
  },
};
