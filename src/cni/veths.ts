import type { LinkMessage } from '../netlink/route/link.ts';
import { glanceAtLink } from '../netlink/route/link-announcement.ts';
import type { Session } from './link.ts';
import type { AttachmentRecord } from './record.ts';

/** The veths of a namespace, to be found by what records say of them. */
export class Veths {
  /** By name and by MAC: no name holds a colon. */
  readonly #known = new Map<unknown, LinkMessage>();

  constructor(session: Session) {
    for (const veth of session.dump(glanceAtLink({})).filter(isVeth))
      this.#known.set(veth.IFLA_IFNAME, veth).set(veth.IFLA_ADDRESS, veth);
  }

  /** Both are random, and an administrator, or udev, may have changed either. */
  find({ hostLink, hostMac }: Pick<AttachmentRecord, 'hostLink' | 'hostMac'>): LinkMessage | undefined {
    return this.#known.get(hostLink) ?? this.#known.get(hostMac);
  }
}

export const isVeth = (link: LinkMessage): boolean => link.IFLA_LINKINFO?.IFLA_INFO_KIND === 'veth';
