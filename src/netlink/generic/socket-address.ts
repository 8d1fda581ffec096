import type { Address } from '../../net/address.ts';
import { address } from '../binary.ts';
import { CodecError } from '../codec-error.ts';
import * as k from '../constants.ts';
import type { Payload } from '../payload.ts';
import { be16, u16 } from '../scalar.ts';

export interface SocketAddress {
  readonly address: Address;
  readonly port: number;
}

/** Where the address lies in a struct sockaddr_in, and in a sockaddr_in6, whose zone is not looked at. */
const ipv4 = { family: k.AF_INET, size: 16, start: 4, length: 4 };
const ipv6 = { family: k.AF_INET6, size: 28, start: 8, length: 16 };

/** struct sockaddr_in or sockaddr_in6 (linux/in.h, linux/in6.h). */
export const socketAddress: Payload<SocketAddress> = {
  shape: { kind: 'struct', fields: { address: address.shape, port: be16.shape } },
  decode(view, start, end) {
    const family = end - start < 2 ? undefined : u16.get(view, start);
    const layout = [ipv4, ipv6].find((each) => each.family === family);
    if (layout === undefined)
      throw new CodecError(`address family ${family} where an IP address is expected`);
    if (end - start < layout.size)
      throw new CodecError(`${layout.size} bytes expected, ${end - start} found`);
    const at = start + layout.start;
    return { address: address.decode(view, at, at + layout.length), port: be16.get(view, start + 2) };
  },
  encode(writer, value) {
    const { family, size, start } = value.address.includes(':') ? ipv6 : ipv4;
    const from = writer.length;
    u16.encode(writer, family);
    be16.encode(writer, value.port);
    writer.reserve(start - 4);
    address.encode(writer, value.address);
    writer.reserve(size - (writer.length - from));
  },
};
