import { execFileSync } from 'node:child_process';
import { onTestFinished } from 'vitest';
import { loadBinding } from '../../native/binding.ts';
import { openLegacyKernel } from '../../src/firewall/legacy-kernel.ts';
import { NftKernel } from '../../src/firewall/nft-kernel.ts';
import { NodeFirewall } from '../../src/firewall/node-firewall.ts';
import type { NodeRulesInput } from '../../src/firewall/node-rules.ts';
import { type Run, runProcess } from '../../src/firewall/process.ts';
import { prefix } from '../../src/net/prefix.ts';
import * as k from '../../src/netlink/constants.ts';
import { decodeNftGeneration } from '../../src/netlink/netfilter/nftables.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { listen } from '../../src/netlink/subscription.ts';
import { systemClock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { createNetns, type Netns } from '../kit/netns.ts';

/** Node-wide firewalls in namespaces of the test. */

export const input: NodeRulesInput = {
  masquerade: { 4: true, 6: true },
  forward: true,
  randomFully: true,
  networks: [prefix('10.244.0.0/16'), prefix('fd00:244::/56')],
  subnets: [prefix('10.244.1.0/24'), prefix('fd00:244:0:1::/64')],
};

export function namespace(): Netns {
  const netns = createNetns();
  onTestFinished(() => netns.remove());
  return netns;
}

/** Two kinds of iptables, and nftables. */
export const ways = ['iptables', 'iptables-legacy', 'nftables'] as const;

type Way = (typeof ways)[number];

/** Runs programs in `netns`, by the names that `update-alternatives` would give them. */
export function inside(netns: Netns, way: Way): Run {
  const run = runProcess();
  return (program, args, stdin) => {
    const real =
      way === 'iptables-legacy' ? program.replace(/tables-(save|restore)$/, 'tables-legacy-$1') : program;
    return run('ip', ['netns', 'exec', netns.name, real, ...args], stdin);
  };
}

/** A firewall in `netns`, and the programs that it ran. */
export function firewall(netns: Netns, way: Way, run = inside(netns, way)) {
  const binding = loadBinding();
  const protocol = k.NETLINK_NETFILTER;
  const programs: string[] = [];
  const warnings: string[] = [];
  const node = new NodeFirewall(way === 'nftables' ? way : 'iptables', {
    run: (program, args, stdin) => {
      programs.push(program);
      return run(program, args, stdin);
    },
    nft: new NftKernel(new SyncSession(openSocket(binding, { protocol, netnsFd: netns.fd }))),
    legacy: openLegacyKernel(binding, netns.fd, (file) =>
      execFileSync('ip', ['netns', 'exec', netns.name, 'cat', file], { encoding: 'latin1' }),
    ),
    subscribe: (onGeneration, onLost) =>
      listen(
        openSocket(binding, { protocol, netnsFd: netns.fd, groups: [k.NFNLGRP_NFTABLES] }),
        decodeNftGeneration,
        onGeneration,
        onLost,
      ),
    clock: systemClock,
    log: { ...silentLog, warn: (_bindings, message) => warnings.push(message) },
  });
  onTestFinished(() => node.close());
  return { node, programs, warnings };
}

const chains = (text: string): string =>
  text
    .split('\n')
    .filter((line) => /^[-:].*FLANNEL/.test(line))
    .join('\n');

/** What is there of ours, written that way. */
export const show = {
  iptables: async (netns: Netns) =>
    chains((await netns.exec('iptables-nft-save')) + (await netns.exec('ip6tables-nft-save'))),
  'iptables-legacy': async (netns: Netns) =>
    chains((await netns.exec('iptables-legacy-save')) + (await netns.exec('ip6tables-legacy-save'))),
  nftables: async (netns: Netns) => {
    const tables = await netns.exec('nft', 'list', 'tables');
    const ours = tables.split('\n').filter((line) => line.includes('flannel'));
    const texts = ours.toSorted().map((line) => netns.exec('nft', 'list', ...line.split(' ')));
    return (await Promise.all(texts)).join('');
  },
};
