import type { Binding } from '../../../native/binding.ts';
import { openLegacyKernel } from '../../firewall/legacy-kernel.ts';
import { NftKernel } from '../../firewall/nft-kernel.ts';
import { NodeFirewall } from '../../firewall/node-firewall.ts';
import { runProcess } from '../../firewall/process.ts';
import * as k from '../../netlink/constants.ts';
import { isNetlinkError } from '../../netlink/error.ts';
import { decodeNftGeneration } from '../../netlink/netfilter/nftables.ts';
import { SyncSession } from '../../netlink/session.ts';
import { type NetlinkSocket, openSocket } from '../../netlink/socket.ts';
import { listen } from '../../netlink/subscription.ts';
import { systemClock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';

/** The node-wide rules in this process's own namespace, as nftables when net-conf.json has EnableNFTables. */
export function openFirewall(
  binding: Binding,
  enableNFTables: boolean,
  environment: NodeJS.ProcessEnv,
  log: Log,
): NodeFirewall {
  const socket = openNetfilter(binding);
  return new NodeFirewall(enableNFTables ? 'nftables' : 'iptables', {
    run: runProcess(environment),
    nft: new NftKernel(socket && new SyncSession(socket)),
    legacy: openLegacyKernel(binding),
    subscribe(onGeneration, onLost) {
      const announcements = openNetfilter(binding, [k.NFNLGRP_NFTABLES]);
      if (announcements === undefined) return { close() {} };
      return listen(announcements, decodeNftGeneration, onGeneration, onLost);
    },
    clock: systemClock,
    log,
  });
}

/** Undefined on a kernel without nfnetlink, where only the legacy iptables works. */
function openNetfilter(binding: Binding, groups: readonly number[] = []): NetlinkSocket | undefined {
  try {
    return openSocket(binding, { protocol: k.NETLINK_NETFILTER, groups });
  } catch (error) {
    if (isNetlinkError(error, 'EPROTONOSUPPORT')) return undefined;
    throw error;
  }
}
