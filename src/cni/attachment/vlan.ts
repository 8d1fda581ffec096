import * as k from '../../netlink/constants.ts';
import type { BridgeState } from './attachment.ts';
import type { Step } from './step.ts';
import type { VlanOptions } from '../configuration/vlans.ts';

/** Whether the bridge must tell VLANs apart. */
export const hasVlans = ({ vlan, vlanTrunk }: VlanOptions): boolean => vlan > 0 || vlanTrunk.length > 0;

/**
 * Puts a port into its VLANs and, unless it shall stay there, out of the bridge's default one, which every new port
 * is in. With a trunk alone, what comes untagged belongs to VLAN 1.
 */
export function vlanSteps(
  options: VlanOptions,
  { defaultPvid }: Pick<BridgeState, 'defaultPvid'>,
  ifindex: number,
): Step[] {
  if (!hasVlans(options)) return [];
  const { vlan, vlanTrunk, preserveDefaultVlan } = options;
  const flags = k.BRIDGE_VLAN_INFO_PVID | k.BRIDGE_VLAN_INFO_UNTAGGED;
  const write = (infos: { flags: number; vid: number }[]) => ({
    ifi_family: k.AF_BRIDGE,
    ifi_index: ifindex,
    IFLA_AF_SPEC: { IFLA_BRIDGE_VLAN_INFO: infos },
  });
  const leaves = !preserveDefaultVlan && defaultPvid !== undefined && defaultPvid > 0;
  const tagged = vlanTrunk.map((vid) => ({ flags: 0, vid }));
  return [
    ...(leaves
      ? [
          {
            message: 'delLink' as const,
            tolerate: 'ENOENT' as const,
            value: write([{ flags: 0, vid: defaultPvid }]),
          },
        ]
      : []),
    { message: 'setLink', value: write([{ flags, vid: vlan > 0 ? vlan : 1 }, ...tagged]) },
  ];
}
