import type { Clock } from '../world/clock.ts';
import {
  type DeviceChange,
  type PeerReading,
  WireguardError,
  type WireguardControl,
} from '../wireguard/device.ts';
import type { Endpoint } from '../wireguard/endpoint.ts';
import type { PublicKey } from '../wireguard/key.ts';
import type { ActualObject, ActualWireguardPeer } from './actual.ts';
import type { Failure } from './apply.ts';
import { endpointFits } from './fit.ts';
import { keyOf, type ObjectKey, type WireguardDevice, type WireguardPeer } from './object.ts';
import { describe, type Operation } from './operation.ts';

/** A session lives so long, in milliseconds; then there is another handshake, or nobody is there (REJECT_AFTER_TIME). */
const sessionLife = 180_000;

/**
 * WireGuard devices as kernel objects: read and set over a socket that is not rtnetlink's, and without notifications.
 *
 * A peer's endpoint needs judgement, because WireGuard moves it by itself to where the peer's last packet came from, and
 * that is more than a lease can know (NAT, another route). So another endpoint than the desired one is left alone
 * while the peer is proven to be there: its last handshake is younger than a session's life, and later than the time at which
 * we set the endpoint. What we did not set in this life of the daemon counts as set long ago. When the proof is
 * too old, nobody answers there, or somebody else has set it: the desired one is set again. When the lease names
 * another endpoint it is set at once, since the handshake proved what stood in the place of the former one.
 */
export class Tunnels {
  readonly #control: WireguardControl;
  readonly #clock: Pick<Clock, 'now'>;
  /** The endpoints that we set, and when. */
  readonly #set = new Map<ObjectKey, { readonly endpoint: Endpoint; readonly at: number }>();
  readonly #peers = new Map<string, readonly PeerReading[]>();

  constructor(control: WireguardControl, clock: Pick<Clock, 'now'>) {
    this.#control = control;
    this.#clock = clock;
  }

  /** When each peer shook hands last on any device, wall clock in milliseconds, as it was read some seconds ago. */
  get handshakes(): ReadonlyMap<PublicKey, number> {
    const latest = new Map<PublicKey, number>();
    for (const { publicKey, lastHandshake = 0 } of [...this.#peers.values()].flat()) {
      if (lastHandshake > (latest.get(publicKey) ?? 0)) latest.set(publicKey, lastHandshake);
    }
    return latest;
  }

  /** What a device holds; undefined: there is none by that name. */
  async read(link: string): Promise<readonly (WireguardDevice | ActualWireguardPeer)[] | undefined> {
    const reading = await this.#control.read(link);
    this.#peers.set(link, reading?.peers ?? []);
    if (reading === undefined) return undefined;
    const { privateKey, listenPort, fwmark, peers } = reading;
    return [
      ...(privateKey === undefined
        ? []
        : [{ kind: 'wireguard', link, privateKey, listenPort, fwmark } as const]),
      ...peers.map((peer) => this.#judged({ ...peer, kind: 'wireguardPeer', link }, peer.lastHandshake)),
    ];
  }

  #judged(peer: WireguardPeer, lastHandshake: number | undefined): ActualWireguardPeer {
    if (lastHandshake === undefined || this.#clock.now() - lastHandshake > sessionLife) return peer;
    const set = this.#set.get(keyOf(peer));
    if (set === undefined) return { ...peer, movedFrom: 'any' };
    return lastHandshake > set.at ? { ...peer, movedFrom: set.endpoint } : peer;
  }

  /** Has a device made that the kernel cannot make. */
  async make(operation: Operation & { readonly object: { readonly name: string } }): Promise<Failure[]> {
    try {
      await this.#control.make?.(operation.object.name);
      return [];
    } catch (error) {
      if (!(error instanceof WireguardError)) throw error;
      return [failureOf(operation, error)];
    }
  }

  /** Answers the operations that failed. */
  async write(operations: readonly Operation[]): Promise<Failure[]> {
    const at = this.#clock.now();
    const outcomes = await this.#control.write(operations.map(changeOf));
    return operations.flatMap((operation, i) => {
      const error = outcomes[i];
      if (error !== undefined) return [failureOf(operation, error)];
      this.#note(operation, at);
      return [];
    });
  }

  #note(operation: Operation, at: number): void {
    const { key, verb, object } = operation;
    if (object.kind !== 'wireguardPeer') return;
    if (verb === 'remove') this.#set.delete(key);
    else if (object.endpoint !== undefined && setsEndpoint(operation))
      this.#set.set(key, { endpoint: object.endpoint, at });
  }
}

/** An operation that this room carries out. */
export const isOfTunnel = ({ object }: Operation): boolean =>
  object.kind === 'wireguard' || object.kind === 'wireguardPeer';

/** Whether an object is a link with a WireGuard device. */
export const isTunnel = (object: ActualObject | undefined): boolean =>
  object?.kind === 'link' && object.info.kind === 'wireguard';

/** What is changed about a peer leaves an endpoint alone that does. */
function setsEndpoint(operation: Operation): boolean {
  if (operation.verb !== 'replace') return true;
  const { object, was } = operation;
  return object.kind !== 'wireguardPeer' || was.kind !== 'wireguardPeer' || !endpointFits(object, was);
}

function changeOf(operation: Operation): DeviceChange {
  const { object, verb } = operation;
  if (object.kind === 'wireguard') return { link: object.link, device: object };
  if (object.kind !== 'wireguardPeer') throw new TypeError(`${object.kind} is no part of a WireGuard device`);
  if (verb === 'remove') return { link: object.link, removed: object.publicKey };
  if (setsEndpoint(operation)) return { link: object.link, peer: object };
  const { endpoint: _, ...rest } = object;
  return { link: object.link, peer: rest };
}

function failureOf(operation: Operation, { message, code }: WireguardError): Failure {
  const { object } = operation;
  const cause =
    code === 'EADDRINUSE' && object.kind === 'wireguard'
      ? `; another program has UDP port ${object.listenPort}: find it with "ss -lunp", or set another ListenPort on all nodes`
      : '';
  return {
    operation,
    why: `cannot ${describe(operation)}: ${message}${cause}`,
    surprising: code === 'ENODEV' || code === 'ENOENT',
  };
}
