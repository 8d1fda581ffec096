import { chosen, type UnknownAttribute } from '../attributes.ts';
import { binary } from '../binary.ts';
import { nested, nestedMessage } from '../nested.ts';
import type { Payload, ValueOf } from '../payload.ts';
import { string } from '../text.ts';
import { ifinfomsg, linkBasics } from './link-basics.ts';
import { bridge, bridgePort, ipip, vxlan } from './link-kind.ts';

/** VETH_INFO_PEER is a link message of its own: name, MAC, MTU, queues and the namespace that it is born in. */
const veth = nested({ VETH_INFO_PEER: [1, nestedMessage(ifinfomsg, linkBasics)] });

const kinds = { vxlan, veth, bridge, ipip };
const slaveKinds = { bridge: bridgePort };

/** A kind with its data; of a kind without a table here the data is in `unknown`. */
type KindAndData<K extends string, D extends string, Kinds> =
  | {
      [Name in keyof Kinds]: { [key in K]: Name } & {
        [key in D]?: ValueOf<Kinds[Name]> | undefined;
      };
    }[keyof Kinds]
  | ({ [key in K]?: string | undefined } & { [key in D]?: undefined });

/** IFLA_LINKINFO. Comparing IFLA_INFO_KIND with a literal narrows IFLA_INFO_DATA. */
export type LinkInfo = KindAndData<'IFLA_INFO_KIND', 'IFLA_INFO_DATA', typeof kinds> &
  KindAndData<'IFLA_INFO_SLAVE_KIND', 'IFLA_INFO_SLAVE_DATA', typeof slaveKinds> & {
    IFLA_INFO_XSTATS?: Uint8Array | undefined;
    unknown?: UnknownAttribute[] | undefined;
  };

export const linkInfo = nested({
  IFLA_INFO_KIND: [1, string],
  IFLA_INFO_DATA: [2, chosen<object>('IFLA_INFO_KIND', kinds)],
  IFLA_INFO_XSTATS: [3, binary],
  IFLA_INFO_SLAVE_KIND: [4, string],
  IFLA_INFO_SLAVE_DATA: [5, chosen<object>('IFLA_INFO_SLAVE_KIND', slaveKinds)],
}) as Payload<LinkInfo>;
