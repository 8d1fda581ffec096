import { prefixAddress, prefixFamily, prefixLength, prefixOf } from '../net/prefix.ts';
import * as k from '../netlink/constants.ts';
import { isNetlinkError } from '../netlink/error.ts';
import { getFamily } from '../netlink/generic/family.ts';
import {
  getWireguardDevice,
  setWireguardDevice,
  type WireguardDeviceMessage,
  type WireguardDeviceWrite,
} from '../netlink/generic/wireguard.ts';
import type { AsyncSession } from '../netlink/session.ts';
import {
  type DeviceChange,
  type DeviceReading,
  type PeerReading,
  type PeerSettings,
  WireguardError,
  type WireguardControl,
} from './device.ts';
import { endpointOf, endpointParts } from './endpoint.ts';
import { publicKeyBytes, publicKeyFromBytes, Secret } from './key.ts';

type Session = Pick<AsyncSession, 'batch' | 'dump' | 'request'>;

/** The number of the kernel's WireGuard family; undefined when it has no WireGuard, and no module of it either. */
export async function wireguardFamily(session: Session): Promise<number | undefined> {
  try {
    const [family] = await session.request(getFamily('wireguard'));
    return family?.CTRL_ATTR_FAMILY_ID;
  } catch (error) {
    if (isNetlinkError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** WireGuard in the kernel, by its `family` on a NETLINK_GENERIC socket. */
export function kernelControl(session: Session, family: number): WireguardControl {
  return {
    make: undefined,
    async read(link) {
      try {
        return readingOf(await session.dump(getWireguardDevice(family, link)));
      } catch (error) {
        // No such link, or one of another kind.
        if (isNetlinkError(error, 'ENODEV', 'EOPNOTSUPP')) return undefined;
        throw error;
      }
    },
    async write(changes) {
      const outcomes = await session.batch(
        changes.map((change) => setWireguardDevice(family, messageOf(change))),
      );
      return outcomes.map(
        (error) => error && new WireguardError(`the kernel says ${error.code}`, error.code),
      );
    },
  };
}

/** A device with many peers comes in several messages, and a peer with many allowed IPs in several of them. */
export function readingOf(messages: readonly WireguardDeviceMessage[]): DeviceReading {
  const [first] = messages;
  const privateKey = secretOf(first?.WGDEVICE_A_PRIVATE_KEY);
  const peers = new Map<string, PeerReading>();
  for (const { WGDEVICE_A_PEERS } of messages) {
    for (const message of WGDEVICE_A_PEERS?.WGPEER ?? []) {
      const peer = peerOf(message);
      const before = peers.get(peer.publicKey);
      const allowedIPs = [...(before?.allowedIPs ?? []), ...peer.allowedIPs].toSorted();
      peers.set(peer.publicKey, { ...(before ?? peer), allowedIPs });
    }
  }
  return {
    ...(privateKey && { privateKey }),
    listenPort: first?.WGDEVICE_A_LISTEN_PORT ?? 0,
    fwmark: first?.WGDEVICE_A_FWMARK ?? 0,
    peers: [...peers.values()],
  };
}

type PeerMessage = NonNullable<
  NonNullable<NonNullable<WireguardDeviceMessage['WGDEVICE_A_PEERS']>['WGPEER']>[number]
>;

function peerOf(message: PeerMessage): PeerReading {
  const presharedKey = secretOf(message.WGPEER_A_PRESHARED_KEY);
  const endpoint = message.WGPEER_A_ENDPOINT;
  const { tv_sec = 0n, tv_nsec = 0n } = message.WGPEER_A_LAST_HANDSHAKE_TIME ?? {};
  const allowed = message.WGPEER_A_ALLOWEDIPS?.WGALLOWEDIP ?? [];
  return {
    publicKey: publicKeyFromBytes(message.WGPEER_A_PUBLIC_KEY ?? new Uint8Array()),
    ...(presharedKey && { presharedKey }),
    ...(endpoint && { endpoint: endpointOf(endpoint.address, endpoint.port) }),
    allowedIPs: allowed.flatMap(({ WGALLOWEDIP_A_IPADDR: address, WGALLOWEDIP_A_CIDR_MASK: length }) =>
      address === undefined || length === undefined ? [] : prefixOf(address, length),
    ),
    keepalive: message.WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL ?? 0,
    ...(tv_sec === 0n ? {} : { lastHandshake: Number(tv_sec) * 1000 + Number(tv_nsec) / 1e6 }),
  };
}

/** The kernel tells zeros where there is no key. */
function secretOf(bytes: Uint8Array | undefined): Secret | undefined {
  return bytes === undefined || bytes.every((byte) => byte === 0) ? undefined : new Secret(bytes);
}

function messageOf(change: DeviceChange): WireguardDeviceWrite {
  const WGDEVICE_A_IFNAME = change.link;
  if ('device' in change) {
    return {
      WGDEVICE_A_IFNAME,
      WGDEVICE_A_PRIVATE_KEY: change.device.privateKey.reveal(),
      WGDEVICE_A_LISTEN_PORT: change.device.listenPort,
      WGDEVICE_A_FWMARK: change.device.fwmark,
    };
  }
  if ('peer' in change) return { WGDEVICE_A_IFNAME, WGDEVICE_A_PEERS: { WGPEER: [setPeer(change.peer)] } };
  const WGPEER_A_PUBLIC_KEY = publicKeyBytes(change.removed);
  const removal = { WGPEER_A_PUBLIC_KEY, WGPEER_A_FLAGS: k.WGPEER_F_REMOVE_ME };
  return { WGDEVICE_A_IFNAME, WGDEVICE_A_PEERS: { WGPEER: [removal] } };
}

function setPeer(peer: PeerSettings) {
  return {
    WGPEER_A_PUBLIC_KEY: publicKeyBytes(peer.publicKey),
    // Zeros take a key away.
    WGPEER_A_PRESHARED_KEY: peer.presharedKey?.reveal() ?? new Uint8Array(32),
    WGPEER_A_FLAGS: k.WGPEER_F_REPLACE_ALLOWEDIPS,
    WGPEER_A_ENDPOINT: peer.endpoint && endpointParts(peer.endpoint),
    WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL: peer.keepalive,
    WGPEER_A_ALLOWEDIPS: {
      WGALLOWEDIP: peer.allowedIPs.map((prefix) => ({
        WGALLOWEDIP_A_FAMILY: prefixFamily(prefix) === 4 ? k.AF_INET : k.AF_INET6,
        WGALLOWEDIP_A_IPADDR: prefixAddress(prefix),
        WGALLOWEDIP_A_CIDR_MASK: prefixLength(prefix),
      })),
    },
  };
}
