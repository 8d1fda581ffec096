import type { LinkMessage, LinkWrite } from '../netlink/route/link.ts';
import type { LinkNames } from './link-names.ts';
import type { LinkInfo } from './object.ts';

/** What is to be known of one kind of link: how it is read, compared, written and shown. */
export interface LinkKind<Info extends LinkInfo> {
  /** Undefined when the device does something that ours never do. */
  read(info: NonNullable<LinkMessage['IFLA_LINKINFO']>, names: LinkNames): Info | undefined;
  /** The kernel sets it when the link is made, and never again. */
  mustBeReplaced(wanted: Info, actual: Info): boolean;
  /** What is to be changed on a link that stays: properties of `wanted`. */
  changes(wanted: Info, actual: Info): Partial<Info>;
  /** For a link that is made. Throws a NoSuchLink. */
  create(wanted: Info, names: LinkNames): LinkWrite['IFLA_LINKINFO'];
  /** For a link that stays and has {@link changes}. Throws a NoSuchLink. */
  change(wanted: Info, names: LinkNames): LinkWrite['IFLA_LINKINFO'];
  /** As iproute2 shows it. */
  text(info: Info): string;
  /** What usually makes the kernel answer `code`, and what mends it. */
  cause(wanted: Info, mtu: number, code: string): string | undefined;
}
