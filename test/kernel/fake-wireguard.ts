import type {
  DeviceChange,
  DeviceReading,
  DeviceSettings,
  PeerReading,
  WireguardControl,
} from '../../src/wireguard/device.ts';
import { WireguardError } from '../../src/wireguard/device.ts';
import type { PublicKey } from '../../src/wireguard/key.ts';

export interface FakeDevice {
  settings: DeviceSettings | undefined;
  readonly peers: Map<PublicKey, PeerReading>;
}

/** WireGuard devices that do what they are told, upon links that `exists` knows. */
export class FakeWireguard implements WireguardControl {
  readonly make: WireguardControl['make'] = undefined;
  readonly writes: DeviceChange[] = [];
  readonly devices = new Map<string, FakeDevice>();
  /** Why the next reading fails. */
  failure: Error | undefined;
  /** Why a change is refused. */
  refuse: (change: DeviceChange) => WireguardError | undefined = () => undefined;
  readonly #exists: (link: string) => boolean;

  constructor(exists: (link: string) => boolean) {
    this.#exists = exists;
  }

  device(link: string): FakeDevice {
    const device = this.devices.get(link) ?? { settings: undefined, peers: new Map() };
    this.devices.set(link, device);
    return device;
  }

  read(link: string): Promise<DeviceReading | undefined> {
    const failure = this.failure;
    this.failure = undefined;
    if (failure !== undefined) return Promise.reject(failure);
    if (!this.#exists(link)) {
      this.devices.delete(link);
      return Promise.resolve(undefined);
    }
    const { settings = { listenPort: 0, fwmark: 0 }, peers } = this.device(link);
    return Promise.resolve({ ...settings, peers: [...peers.values()] });
  }

  write(changes: readonly DeviceChange[]): Promise<(WireguardError | undefined)[]> {
    return Promise.resolve(changes.map((change) => this.#apply(change)));
  }

  #apply(change: DeviceChange): WireguardError | undefined {
    const refusal = this.refuse(change);
    if (refusal !== undefined) return refusal;
    if (!this.#exists(change.link)) return new WireguardError('the kernel says ENODEV', 'ENODEV');
    this.writes.push(change);
    const device = this.device(change.link);
    if ('device' in change) device.settings = change.device;
    else if ('removed' in change) device.peers.delete(change.removed);
    else {
      const { endpoint, lastHandshake } = device.peers.get(change.peer.publicKey) ?? {};
      const kept = { ...(endpoint && { endpoint }), ...(lastHandshake && { lastHandshake }) };
      // An allowed IP belongs to the peer that got it last.
      for (const [key, peer] of device.peers) {
        const allowedIPs = peer.allowedIPs.filter((prefix) => !change.peer.allowedIPs.includes(prefix));
        device.peers.set(key, { ...peer, allowedIPs });
      }
      device.peers.set(change.peer.publicKey, { ...kept, ...change.peer });
    }
    return undefined;
  }
}
