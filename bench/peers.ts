import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { DaemonFiles } from './daemon.ts';

/** Numbered nodes of a big cluster, from 1 to 65,000; they exist on paper only. */
export const peerSubnet = (peer: number): string => `10.${16 + (peer >> 8)}.${peer & 255}.0`;
export const peerAddress = (peer: number): string => `172.16.${peer >> 8}.${peer & 255}`;

/** Of a peer's generation: another one is another MAC. */
export function peerMac(peer: number, generation = 0): string {
  const bytes = [0x02, generation, 0, 0, peer >> 8, peer & 255];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Puts the peer's lease into the directory, by a rename as the nodes do it. */
export function writePeer(files: DaemonFiles, peer: number, generation = 0): void {
  const fresh = path.join(files.directory, 'peer');
  mkdirSync(files.leases, { recursive: true });
  writeFileSync(fresh, `${JSON.stringify(lease(peer, generation))}\n`);
  renameSync(fresh, path.join(files.leases, `peer-${peer}.json`));
}

/** As flanneld writes its own, with both families; a network of one family ignores the other. */
function lease(peer: number, generation: number): object {
  const BackendData = { VNI: 1, VtepMAC: peerMac(peer, generation) };
  return {
    Subnet: `${peerSubnet(peer)}/24`,
    IPv6Subnet: `fd00:244:0:${peer.toString(16)}::/64`,
    PublicIP: peerAddress(peer),
    PublicIPv6: `fd00:50::1:${peer.toString(16)}`,
    BackendType: 'vxlan',
    BackendData,
    BackendV6Data: BackendData,
  };
}
