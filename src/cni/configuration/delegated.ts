import type { MasqueradeBackend } from '../../firewall/pod-masquerade.ts';
import type { RangeSet } from '../../ipam/range-set.ts';
import type { Dns } from '../../ipam/resolv-conf.ts';
import type { Address } from '../../net/address.ts';
import type { Mac } from '../../net/mac.ts';
import type { BridgeOptions, PlannedRoute } from '../attachment/attachment.ts';
import type { AttachmentKey } from '../records/record.ts';

/** The delegate's configuration, bridge with host-local, understood and checked. */
export interface Delegated {
  /** As flannel's state file keeps it. */
  text: string;
  options: BridgeOptions;
  ipMasq: boolean;
  /** Undefined: whichever works here. */
  ipMasqBackend?: MasqueradeBackend | undefined;
  mac?: Mac | undefined;
  ipam: {
    /** Without the network. */
    dataDir: string;
    sets: readonly RangeSet[];
    requested: readonly Address[];
    routes: readonly PlannedRoute[];
    resolvConf?: string | undefined;
  };
  /** In place of IPAM's, when the configuration has any. */
  dns?: Dns | undefined;
}

/** What every verb that concerns one attachment knows. */
export interface AttachmentRequest {
  key: AttachmentKey;
  /** CNI_NETNS. */
  netns: string;
  cniVersion: string;
  /** flannel's, where its state files are. */
  dataDir: string;
}
