import type { LinkMessage } from '../../netlink/route/link.ts';
import { glanceAtLink } from '../../netlink/route/link-announcement.ts';
import type { Session } from '../attachment/link.ts';
import type { AttachmentRecord } from './record.ts';

type Recorded = Pick<AttachmentRecord, 'hostLink' | 'hostMac'>;

/** The veths of a namespace, to be found by what records say of them: asked for all at once, when the first is looked for. */
export class Veths {
  readonly #session: Session;
  #known: Known | undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  /**
   * Both are random, and an administrator, or udev, may have changed either: another's link may bear the name by now,
   * which is why the MAC goes before it.
   */
  find({ hostLink, hostMac }: Recorded): LinkMessage | undefined {
    this.#known ??= ask(this.#session);
    const named = this.#known.byName.get(hostLink);
    return named?.IFLA_ADDRESS === hostMac ? named : (this.#known.byMac.get(hostMac) ?? named);
  }
}

interface Known {
  readonly byName: ReadonlyMap<unknown, LinkMessage>;
  readonly byMac: ReadonlyMap<unknown, LinkMessage>;
}

function ask(session: Session): Known {
  const veths = session.dump(glanceAtLink({})).filter(isVeth);
  return {
    byName: new Map(veths.map((veth) => [veth.IFLA_IFNAME, veth])),
    byMac: new Map(veths.map((veth) => [veth.IFLA_ADDRESS, veth])),
  };
}

export const isVeth = (link: LinkMessage): boolean => link.IFLA_LINKINFO?.IFLA_INFO_KIND === 'veth';
