import type { Binding } from '../../native/binding.ts';
import { NodeFirewall } from '../firewall/node-firewall.ts';
import { runProcess } from '../firewall/process.ts';
import * as k from '../netlink/constants.ts';
import { decodeNftGeneration } from '../netlink/netfilter/nftables.ts';
import { SyncSession } from '../netlink/session.ts';
import { openSocket } from '../netlink/socket.ts';
import { listen } from '../netlink/subscription.ts';
import { systemClock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';

/** The node-wide rules in this process's own namespace, by nft when net-conf.json has EnableNFTables. */
export function openFirewall(
  binding: Binding,
  enableNFTables: boolean,
  environment: NodeJS.ProcessEnv,
  log: Log,
): NodeFirewall {
  const protocol = k.NETLINK_NETFILTER;
  return new NodeFirewall(enableNFTables ? 'nftables' : 'iptables', {
    run: runProcess(environment),
    session: new SyncSession(openSocket(binding, { protocol })),
    subscribe: (onGeneration, onLost) =>
      listen(
        openSocket(binding, { protocol, groups: [k.NFNLGRP_NFTABLES] }),
        decodeNftGeneration,
        onGeneration,
        onLost,
      ),
    clock: systemClock,
    log,
  });
}
