import type { ActualLink, ActualObject, ActualWireguardPeer } from './actual.ts';
import { kindOf } from './link-kinds.ts';
import type {
  KernelObject,
  Link,
  LinkInfo,
  Nexthop,
  Route,
  WireguardDevice,
  WireguardPeer,
} from './object.ts';

/** Whether `actual` is what `desired` asks for; both have the same key. */
export function fits(desired: KernelObject, actual: ActualObject): boolean {
  switch (desired.kind) {
    case 'link':
      return (
        actual.kind === 'link' &&
        !mustBeReplaced(desired, actual) &&
        linkChanges(desired, actual) === undefined
      );
    case 'address':
      return actual.kind === 'address';
    case 'route':
      return actual.kind === 'route' && routeFits(desired, actual) && actual.odd === undefined;
    case 'neighbour':
      return actual.kind === 'neighbour' && actual.mac === desired.mac;
    case 'fdb':
      return actual.kind === 'fdb' && actual.remote === desired.remote && actual.odd === undefined;
    case 'nexthop':
      return actual.kind === 'nexthop' && nexthopFits(desired, actual);
    case 'wireguard':
      return actual.kind === 'wireguard' && deviceFits(desired, actual);
    case 'wireguardPeer':
      return actual.kind === 'wireguardPeer' && peerFits(desired, actual);
  }
}

function routeFits(desired: Route, actual: Route): boolean {
  return (
    actual.type === desired.type &&
    actual.nexthop === desired.nexthop &&
    (desired.nexthop !== undefined || hopFits(desired, actual)) &&
    actual.protocol === desired.protocol &&
    actual.mtu === desired.mtu
  );
}

const hopFits = (desired: Route, actual: Route): boolean =>
  actual.gateway === desired.gateway &&
  (desired.link === undefined || actual.link === desired.link) &&
  actual.onlink === desired.onlink;

const nexthopFits = (desired: Nexthop, actual: Nexthop): boolean =>
  actual.gateway === desired.gateway &&
  actual.link === desired.link &&
  actual.onlink === desired.onlink &&
  actual.protocol === desired.protocol;

function deviceFits(desired: WireguardDevice, actual: WireguardDevice): boolean {
  return (
    desired.privateKey.equals(actual.privateKey) &&
    actual.listenPort === desired.listenPort &&
    actual.fwmark === desired.fwmark
  );
}

function peerFits(desired: WireguardPeer, actual: ActualWireguardPeer): boolean {
  const { presharedKey } = desired;
  return (
    (presharedKey === undefined
      ? actual.presharedKey === undefined
      : presharedKey.equals(actual.presharedKey)) &&
    actual.keepalive === desired.keepalive &&
    String(actual.allowedIPs) === String(desired.allowedIPs) &&
    endpointFits(desired, actual)
  );
}

export function endpointFits({ endpoint }: WireguardPeer, actual: ActualWireguardPeer): boolean {
  const { movedFrom } = actual;
  return (
    actual.endpoint === endpoint || movedFrom === 'any' || (movedFrom !== undefined && movedFrom === endpoint)
  );
}

/** What the kernel sets when a link is made, and never again. */
export function mustBeReplaced({ info: wanted }: Link, { info }: ActualLink): boolean {
  return info.kind !== wanted.kind || kindOf(wanted).mustBeReplaced(wanted, info);
}

export interface LinkChanges {
  readonly mtu?: number;
  readonly mac?: Link['mac'];
  readonly up?: true;
  /** Properties of {@link Link.info}. */
  readonly info?: Partial<LinkInfo>;
}

/** What is to be changed on a link that stays; undefined when nothing is. */
export function linkChanges(desired: Link, actual: ActualLink): LinkChanges | undefined {
  const info =
    actual.info.kind === desired.info.kind ? kindOf(desired.info).changes(desired.info, actual.info) : {};
  const changes: LinkChanges = {
    ...(actual.mtu === desired.mtu ? {} : { mtu: desired.mtu }),
    ...(desired.mac === undefined || desired.mac === actual.mac ? {} : { mac: desired.mac }),
    ...(actual.up ? {} : { up: true }),
    ...(Object.keys(info).length === 0 ? {} : { info }),
  };
  return Object.keys(changes).length === 0 ? undefined : changes;
}

/** Whether two objects, each a desired or an actual one, are alike to the last field. */
export function isSame(a: KernelObject | ActualObject, b: KernelObject | ActualObject): boolean {
  if (a.kind === 'link' || b.kind === 'link') return JSON.stringify(a) === JSON.stringify(b);
  return fits(a, b) && (a.kind !== 'route' || b.kind !== 'route' || a.link === b.link);
}
