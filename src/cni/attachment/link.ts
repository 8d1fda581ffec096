import type { Mac } from '../../net/mac.ts';
import { type Prefix, prefixOf } from '../../net/prefix.ts';
import * as k from '../../netlink/constants.ts';
import { isNetlinkError, type NetlinkError } from '../../netlink/error.ts';
import type { Request } from '../../netlink/message.ts';
import { getAddresses } from '../../netlink/route/address.ts';
import { getLink, type LinkMessage, type LinkWrite } from '../../netlink/route/link.ts';
import { glanceAtLink } from '../../netlink/route/link-announcement.ts';
import type { BridgeState } from './attachment.ts';
import { requestOf, type Step } from './step.ts';

/** Where messages go: a session of src/netlink, or a fake. */
export interface Session {
  request<T>(request: Request<T>): T[];
  dump<T>(request: Request<T>): T[];
  batch(requests: readonly Request[]): (NetlinkError | undefined)[];
  post(requests: readonly Request[]): Promise<void>;
  indexOf(name: string): number | undefined;
}

type Ask = (by: LinkWrite) => Request<LinkMessage>;

/** One link by ifi_index or IFLA_IFNAME; undefined when there is none. `ask` says how much of it is read. */
export function findLink(session: Session, by: LinkWrite, ask: Ask = getLink): LinkMessage | undefined {
  try {
    return session.request(ask(by))[0];
  } catch (error) {
    if (isNetlinkError(error, 'ENODEV')) return undefined;
    throw error;
  }
}

/** A step of a plan was refused. */
export class StepError extends Error {
  override readonly name = 'StepError';
  readonly step: Step;
  readonly error: NetlinkError;
  /** The name of the link that it is about, where the step has but an index. */
  readonly link: string | undefined;

  constructor(step: Step, error: NetlinkError, link?: string) {
    super(error.message, { cause: error });
    this.step = step;
    this.error = error;
    this.link = link;
  }
}

/** Sends all steps in one go, about `link` perhaps. Throws a {@link StepError} for the first that was refused and may not be. */
export function apply(session: Session, steps: readonly Step[], link?: string): void {
  for (const [i, error] of session.batch(steps.map(requestOf)).entries()) {
    const step = steps[i];
    if (error !== undefined && step !== undefined && step.tolerate !== error.code) {
      throw new StepError(step, error, link);
    }
  }
}

/** The bridge of that name as it is; undefined when there is none. Throws an Error for another kind of link. */
export function observeBridge(session: Session, name: string): BridgeState | undefined {
  const link = findLink(session, { IFLA_IFNAME: name }, glanceAtLink);
  if (link === undefined) return undefined;
  if (link.IFLA_LINKINFO?.IFLA_INFO_KIND !== 'bridge') {
    throw new Error(
      `"${name}" already exists but is not a bridge: rename or remove that link, or name another bridge in the delegate`,
    );
  }
  return bridgeFrom(link, addressesOf(session, link.ifi_index));
}

/** As a message of its own tells it; undefined for another kind of link. */
export function bridgeFrom(link: LinkMessage, addresses: readonly Prefix[]): BridgeState | undefined {
  const { IFLA_INFO_KIND: kind, IFLA_INFO_DATA: data } = link.IFLA_LINKINFO ?? {};
  if (kind !== 'bridge') return undefined;
  return {
    ifindex: link.ifi_index,
    mac: link.IFLA_ADDRESS as Mac,
    mtu: link.IFLA_MTU ?? 0,
    defaultPvid: data?.IFLA_BR_VLAN_DEFAULT_PVID,
    up: (link.ifi_flags & k.IFF_UP) !== 0,
    promisc: (link.ifi_flags & k.IFF_PROMISC) !== 0,
    addresses,
  };
}

/** A link's addresses, those that the kernel made for itself left out. */
export function addressesOf(session: Session, ifindex: number): Prefix[] {
  return session
    .dump(getAddresses({ ifa_index: ifindex }))
    .filter((message) => message.ifa_index === ifindex && message.ifa_scope !== k.RT_SCOPE_LINK)
    .flatMap(({ IFA_LOCAL, IFA_ADDRESS, ifa_prefixlen }) => {
      const address = IFA_LOCAL ?? IFA_ADDRESS;
      return address === undefined ? [] : [prefixOf(address, ifa_prefixlen)];
    });
}
