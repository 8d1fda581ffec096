import type { NetworkUsage } from '../../cni/launcher/service.ts';
import type { Report } from '../../kernel/report.ts';
import type { Lease, Refusal } from '../../lease/lease.ts';

/** The frame by which cni-tool asks for the status on the daemon's socket; the answer is {@link Status} as JSON. */
export const statusFrame = 32;

/** How the node stands, for `cni-tool node` and for whoever reads JSON. */
export interface Status {
  readonly version: string;
  readonly node: string;
  /** Milliseconds. */
  readonly uptime: number;
  readonly registry: { readonly name: string; readonly staleSince?: string; readonly why?: string };
  /** `lost`: why it does not serve any more; what was made with it stays. */
  readonly interface?: { readonly name: string; readonly mtu: number; readonly lost?: string };
  readonly backend: string;
  readonly lease?: Lease;
  readonly peers: readonly Lease[];
  readonly refused: readonly Refusal[];
  readonly kernel: Report;
  /** Why the node-wide firewall rules are not in place. */
  readonly firewall?: string;
  /** In what the network configuration of now is another than the one in use. */
  readonly configuration?: string;
  /** With the backend wireguard. */
  readonly wireguard?: WireguardStatus;
  readonly addresses: readonly NetworkUsage[];
  /** What it waits for before it is ready; empty when it is. */
  readonly waitingFor: readonly string[];
}

export interface WireguardStatus {
  /** wireguard-go does it; {@link note} says what that means. */
  readonly userspace: boolean;
  readonly note?: string;
  /** Whole seconds since the last handshake with each peer, by its ID; null: there has been none. */
  readonly handshakes: Readonly<Record<string, number | null>>;
}
