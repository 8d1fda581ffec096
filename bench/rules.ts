import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { command } from '../e2e/lab/command.ts';
import { loadBinding } from '../native/binding.ts';
import { LegacyIptablesRules } from '../src/firewall/iptables-rules.ts';
import { openLegacyKernel } from '../src/firewall/legacy-kernel.ts';
import { NftKernel } from '../src/firewall/nft-kernel.ts';
import { ruleText } from '../src/firewall/node-fingerprint.ts';
import * as k from '../src/netlink/constants.ts';
import { delNftRule, newNftRule } from '../src/netlink/netfilter/nftables.ts';
import { SyncSession } from '../src/netlink/session.ts';
import { openSocket } from '../src/netlink/socket.ts';
import { Daemon, daemonFiles } from './daemon.ts';
import { memoryDirectory } from './directory.ts';
import { createNamespaces, ip, pathOf, uplink } from './namespaces.ts';
import { heading, keep, ms, table, verdict } from './report.ts';
import { quantile } from './statistics.ts';
import { wantedLegacyRuleMs, wantedRepairMs } from './targets.ts';

const damages = ['a rule deleted', 'a rule moved', 'all rules flushed'] as const;
type Damage = (typeof damages)[number];

/** One way of writing rules: what there is of the masquerade chain, and how somebody spoils it. */
interface Patient {
  look(): string;
  /** `i` counts up: another rule each time. */
  spoil(damage: Damage, i: number): Promise<void>;
  close(): void;
}

const ways = [
  { title: 'nftables', nftables: true, chain: ['flannel-ipv4', 'postrtg'], legacy: false },
  { title: 'iptables-nft', nftables: false, chain: ['nat', 'FLANNEL-POSTRTG'], legacy: false },
  { title: 'iptables-legacy', nftables: false, chain: ['nat', 'FLANNEL-POSTRTG'], legacy: true },
] as const;
type Way = (typeof ways)[number];

/** Rules spoilt in each way, and the time until the chain is as it was. */
export async function benchRules(isQuick: boolean): Promise<void> {
  const count = isQuick ? 10 : 50;
  heading(`Somebody changes firewall rules: until they are back, dual-stack, ${count} times each`);
  const samples = new Map<string, number[]>();
  for (const way of ways) await benchWay(way, way.legacy ? Math.min(count, 10) : count, samples);
  const rows = [...samples].map(([title, times]) => {
    const wanted = title.startsWith('iptables-legacy') ? wantedLegacyRuleMs : wantedRepairMs;
    const p99 = quantile(times, 0.99);
    const figures = [quantile(times, 0.5), p99, Math.max(...times)].map(ms);
    return [title, ...figures, `${wanted}`, verdict(p99 < wanted)];
  });
  table(['', 'p50 ms', 'p99 ms', 'longest', 'wanted p99', ''], rows);
  console.log(`\nThe figures: ${keep('rules', Object.fromEntries(samples))}`);
}

async function benchWay(way: Way, count: number, samples: Map<string, number[]>): Promise<void> {
  const [host = ''] = await createNamespaces([`rules-${way.title}`]);
  await ip(uplink, host);
  const files = daemonFiles(memoryDirectory());
  mkdirSync(files.leases);
  writeFileSync(files.netConfig, JSON.stringify({ ...netConfig, EnableNFTables: way.nftables }));
  const programs = mkdtempSync(path.join(tmpdir(), 'fl-bench-'));
  for (const program of way.legacy ? ['iptables', 'ip6tables'] : []) {
    for (const tool of ['save', 'restore'])
      symlinkSync(`/usr/sbin/${program}-legacy-${tool}`, path.join(programs, `${program}-${tool}`));
  }
  const daemon = Daemon.start(pathOf(host), files, 'bench', { args: ['--ip-masq'], path: programs });
  try {
    await daemon.ready(files);
    const patient = way.legacy ? legacyPatient(host) : nftPatient(host, way);
    for (const damage of damages)
      samples.set(`${way.title}: ${damage}`, await measure(patient, damage, count));
    patient.close();
  } finally {
    await daemon.stop();
    rmSync(programs, { recursive: true });
  }
}

async function measure(patient: Patient, damage: Damage, count: number): Promise<number[]> {
  const right = patient.look();
  const samples: number[] = [];
  for (let i = 0; i < count; i++) {
    await patient.spoil(damage, i);
    const start = performance.now();
    while (patient.look() !== right) {
      if (performance.now() - start > 10_000) throw new Error(`${damage}: not back after 10 s`);
      await sleep(1);
    }
    samples.push(performance.now() - start);
    await sleep(30);
  }
  return samples;
}

function nftPatient(netns: string, { chain: [NFTA_RULE_TABLE, NFTA_RULE_CHAIN] }: Way): Patient {
  const netnsFd = openSync(pathOf(netns), 'r');
  const socket = openSocket(loadBinding(), { protocol: k.NETLINK_NETFILTER, netnsFd });
  closeSync(netnsFd);
  const kernel = new NftKernel(new SyncSession(socket));
  const rules = () => kernel.rules(k.AF_INET, NFTA_RULE_TABLE, NFTA_RULE_CHAIN);
  const place = { nfgen_family: k.AF_INET, NFTA_RULE_TABLE, NFTA_RULE_CHAIN };
  return {
    look: () => rules().map(ruleText).join('\n'),
    async spoil(damage, i) {
      if (damage === 'all rules flushed') return kernel.change([delNftRule(place)]);
      const all = rules();
      const found = all[i % (all.length - 1)];
      if (found === undefined) throw new Error('there is no rule to spoil');
      const { NFTA_RULE_HANDLE, NFTA_RULE_POSITION: _, ...rule } = found;
      const gone = delNftRule({ ...place, NFTA_RULE_HANDLE });
      kernel.change(damage === 'a rule deleted' ? [gone] : [gone, newNftRule(rule)]);
    },
    close: () => kernel.close(),
  };
}

function legacyPatient(netns: string): Patient {
  const netnsFd = openSync(pathOf(netns), 'r');
  const kernel = openLegacyKernel(loadBinding(), netnsFd, () => 'nat');
  const rules = new LegacyIptablesRules(kernel, 4);
  const iptables = (...args: string[]) =>
    command('ip', ['netns', 'exec', netns, 'iptables-legacy', '-t', 'nat', ...args]);
  return {
    look: () => rules.look().text,
    async spoil(damage, i) {
      if (damage === 'all rules flushed') await iptables('-F', 'FLANNEL-POSTRTG');
      else await iptables('-D', 'FLANNEL-POSTRTG', String(1 + (i % 5)));
      if (damage === 'a rule moved')
        await iptables('-A', 'FLANNEL-POSTRTG', '-s', '192.0.2.1', '-j', 'RETURN');
    },
    close() {
      kernel.close();
      closeSync(netnsFd);
    },
  };
}

const netConfig = {
  Network: '10.244.0.0/16',
  EnableIPv6: true,
  IPv6Network: 'fd00:244::/56',
  Backend: { Type: 'vxlan' },
};
