import type { Prefix } from '../net/prefix.ts';
import type { Endpoint } from './endpoint.ts';
import type { PublicKey, Secret } from './key.ts';

/** What a device is set to beside its peers. */
export interface DeviceSettings {
  readonly privateKey: Secret;
  /** UDP. */
  readonly listenPort: number;
  /** SO_MARK of what it sends; 0: none. */
  readonly fwmark: number;
}

export interface PeerSettings {
  readonly publicKey: PublicKey;
  readonly presharedKey?: Secret;
  /** Where it is reached; left out, it has to speak first. */
  readonly endpoint?: Endpoint;
  /** Canonical, in the order of their texts. What comes from it must be from there, what goes there goes to it. */
  readonly allowedIPs: readonly Prefix[];
  /** Seconds between packets that keep a NAT's mapping alive; 0: none. */
  readonly keepalive: number;
}

export interface PeerReading extends PeerSettings {
  /** Wall clock, in milliseconds; undefined: there has been none. */
  readonly lastHandshake?: number;
}

export interface DeviceReading {
  /** Undefined: none is set yet. */
  readonly privateKey?: Secret;
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: readonly PeerReading[];
}

/** One thing to be set on a device. */
export type DeviceChange = { readonly link: string } & (
  | { readonly device: DeviceSettings }
  /** Added, or made exactly so. An endpoint that is left out stays as it is. */
  | { readonly peer: PeerSettings }
  | { readonly removed: PublicKey }
);

/** A device could not be made or set; the message is for people. */
export class WireguardError extends Error {
  override readonly name = 'WireguardError';
  /** `EADDRINUSE`, where there is one. */
  readonly code: string | undefined;

  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

/** One way to WireGuard devices: the kernel's own, or that of processes which do it in user space. */
export interface WireguardControl {
  /** Makes the device where the kernel cannot; undefined: RTM_NEWLINK does. Rejects with a {@link WireguardError}. */
  readonly make: ((link: string) => Promise<void>) | undefined;
  /** Undefined: there is no WireGuard device by that name. Rejects when it does not answer as it should. */
  read(link: string): Promise<DeviceReading | undefined>;
  /** The outcome of each, in their order; one that fails keeps none of the others back. */
  write(changes: readonly DeviceChange[]): Promise<(WireguardError | undefined)[]>;
}
