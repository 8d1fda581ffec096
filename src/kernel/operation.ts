import { prefixLength, prefixFamily } from '../net/prefix.ts';
import { addressBits } from '../net/address.ts';
import type { ActualLink, ActualObject, Odd } from './actual.ts';
import { linkChanges, mustBeReplaced } from './fit.ts';
import { kindOf } from './link-kinds.ts';
import {
  bootProtocol,
  type KernelObject,
  type Link,
  type Nexthop,
  type ObjectKey,
  ourProtocol,
  type WireguardPeer,
} from './object.ts';

/** One step from what is to what should be. */
export type Operation = { readonly key: ObjectKey } & (
  | { readonly verb: 'add'; readonly object: KernelObject }
  /** In one step where the kernel can; a link is removed and made again. */
  | { readonly verb: 'replace'; readonly object: KernelObject; readonly was: ActualObject }
  /** A link that stays. */
  | { readonly verb: 'change'; readonly object: Link; readonly was: ActualLink }
  | { readonly verb: 'remove'; readonly object: ActualObject }
);

/** One line for people: `add route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink`. */
export function describe(operation: Operation): string {
  switch (operation.verb) {
    case 'add':
    case 'remove':
      return `${operation.verb} ${textOf(operation.object)}`;
    case 'replace':
      return `replace ${textOf(operation.object)}, was ${textOf(operation.was)}`;
    case 'change':
      return `change link ${operation.object.name}: ${changesOf(operation.object, operation.was)}`;
  }
}

function changesOf(desired: Link, actual: ActualLink): string {
  const { info, ...rest } = linkChanges(desired, actual) ?? {};
  const before: Record<string, unknown> = { ...actual, ...actual.info };
  const changes = Object.entries({ ...rest, ...info });
  return changes.map(([name, value]) => `${name} ${String(value)}, was ${String(before[name])}`).join('; ');
}

/** An object as iproute2 writes it, more or less, with its kind in front. */
export function textOf(object: KernelObject | ActualObject): string {
  switch (object.kind) {
    case 'link':
      return linkText(object);
    case 'address':
      return `address ${object.address} dev ${object.link}`;
    case 'route':
      return routeText(object);
    case 'neighbour':
      return `neighbour ${object.address} lladdr ${object.mac} dev ${object.link}`;
    case 'fdb':
      return `fdb ${object.mac} dst ${object.remote}${oddText(object as Odd)} dev ${object.link}`;
    case 'nexthop':
      return nexthopText(object);
    case 'wireguard':
      return `wireguard port ${object.listenPort} fwmark ${object.fwmark} dev ${object.link}`;
    case 'wireguardPeer':
      return peerText(object);
  }
}

const nexthopText = ({ id, gateway, link, onlink }: Nexthop): string =>
  `nexthop ${id} via ${gateway} dev ${link}${onlink ? ' onlink' : ''}`;

/** Without what is secret. */
function peerText({ publicKey, presharedKey, endpoint, allowedIPs, keepalive, link }: WireguardPeer): string {
  const secret = presharedKey === undefined ? '' : ' with a preshared key';
  const where = endpoint === undefined ? '' : ` endpoint ${endpoint}`;
  const alive = keepalive === 0 ? '' : ` persistent-keepalive ${keepalive}`;
  return `wireguard peer ${publicKey}${secret}${where}${alive} allowed-ips ${allowedIPs.join(',')} dev ${link}`;
}

function linkText({ name, mtu, mac, info }: Link | ActualLink): string {
  const address = mac === undefined ? '' : ` address ${mac}`;
  if (info.kind === 'other') return `link ${name} of ${info.is === '' ? 'no' : info.is} kind`;
  return `link ${name}${address} mtu ${mtu} ${kindOf(info).text(info)}`;
}

function routeText(route: Extract<KernelObject, { kind: 'route' }> & { readonly odd?: string }): string {
  const { type, destination, gateway, link, onlink, protocol, metric, mtu, nexthop } = route;
  const usualMetric = prefixFamily(destination) === 4 ? 0 : 1024;
  const single = prefixLength(destination) === addressBits(prefixFamily(destination));
  return [
    `route ${type === undefined ? '' : `${type} `}${single ? destination.slice(0, destination.indexOf('/')) : destination}`,
    gateway === undefined ? '' : ` via ${gateway}`,
    link === undefined ? '' : ` dev ${link}`,
    protocol === ourProtocol ? '' : ` proto ${protocol === bootProtocol ? 'boot' : protocol}`,
    metric === usualMetric ? '' : ` metric ${metric}`,
    mtu === undefined ? '' : ` mtu ${mtu}`,
    nexthop === undefined ? '' : ` nhid ${nexthop}`,
    onlink ? ' onlink' : '',
    oddText(route),
  ].join('');
}

const oddText = ({ odd }: { readonly odd?: string }): string => (odd === undefined ? '' : ` (${odd})`);

/** A link that goes takes with it what hangs on it; so does one that is made anew. */
export function unmakesLink(operation: Operation): operation is Operation & { object: Link | ActualLink } {
  return operation.object.kind === 'link' && (operation.verb === 'remove' || operation.verb === 'replace');
}

export function linkOperation(key: ObjectKey, object: Link, was: ActualLink): Operation {
  return { key, verb: mustBeReplaced(object, was) ? 'replace' : 'change', object, was };
}
