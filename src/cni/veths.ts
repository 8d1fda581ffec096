import type { LinkMessage } from '../netlink/route/link.ts';
import { glanceAtLink } from '../netlink/route/link-announcement.ts';
import type { Session } from './link.ts';
import type { AttachmentRecord } from './record.ts';

/** The veths of a namespace, to be found by what records say of them. */
export class Veths {
  readonly #byName = new Map<unknown, LinkMessage>();
  readonly #byMac = new Map<unknown, LinkMessage>();

  constructor(session: Session) {
    for (const veth of session.dump(glanceAtLink({})).filter(isVeth)) {
      this.#byName.set(veth.IFLA_IFNAME, veth);
      this.#byMac.set(veth.IFLA_ADDRESS, veth);
    }
  }

  /**
   * Both are random, and an administrator, or udev, may have changed either: another's link may bear the name by now,
   * which is why the MAC goes before it.
   */
  find({ hostLink, hostMac }: Recorded): LinkMessage | undefined {
    const named = this.#byName.get(hostLink);
    return named?.IFLA_ADDRESS === hostMac ? named : (this.#byMac.get(hostMac) ?? named);
  }
}

type Recorded = Pick<AttachmentRecord, 'hostLink' | 'hostMac'>;

export const isVeth = (link: LinkMessage): boolean => link.IFLA_LINKINFO?.IFLA_INFO_KIND === 'veth';
