import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { programs } from '../e2e/lab/node.ts';
import { newest } from '../e2e/lab/runtime.ts';
import type { DaemonFiles } from './daemon.ts';

export type CandidateName = 'reference' | 'warm' | 'stand-alone';

/** Who is measured: a CNI program and the configuration it gets. */
export interface Candidate {
  readonly name: CandidateName;
  readonly title: string;
  readonly program: string;
  readonly plugins: string;
  /** Whether flanneld serves it. */
  readonly daemon: boolean;
  configuration(files: DaemonFiles): Record<string, unknown>;
}

const version = newest.name === 'containerd 2.4' ? '1.9.1, built by Go' : "1.1.1, Debian's";

/** The flannel plugin's own configuration. */
function flannel(files: DaemonFiles): Record<string, unknown> {
  return {
    cniVersion: '1.0.0',
    name: 'cbr0',
    type: 'flannel',
    subnetFile: files.subnetFile,
    dataDir: path.join(files.directory, 'flannel'),
    delegate: { hairpinMode: true, isDefaultGateway: true, ipMasq: false },
    ipam: { dataDir: path.join(files.directory, 'networks') },
  };
}

/** What Go flannel's plugin hands to bridge for the same configuration and subnet.env. */
function bridge(files: DaemonFiles): Record<string, unknown> {
  const env = subnetEnv(files);
  const values = (...keys: string[]) => keys.flatMap((key) => env.get(key) ?? []);
  const subnets = values('FLANNEL_SUBNET', 'FLANNEL_IPV6_SUBNET');
  const networks = values('FLANNEL_NETWORK', 'FLANNEL_IPV6_NETWORK');
  return {
    cniVersion: '1.0.0',
    name: 'cbr0',
    type: 'bridge',
    isGateway: true,
    isDefaultGateway: true,
    hairpinMode: true,
    ipMasq: false,
    mtu: Number(env.get('FLANNEL_MTU')),
    ipam: {
      type: 'host-local',
      dataDir: path.join(files.directory, 'networks'),
      ranges: subnets.map((subnet) => [
        { subnet: subnet.replace(/1\/(\d+)$/, subnet.includes(':') ? '/$1' : '0/$1').replace(':::', '::') },
      ]),
      routes: networks.map((dst) => ({ dst })),
    },
  };
}

function subnetEnv(files: DaemonFiles): Map<string, string> {
  const text = existsSync(files.subnetFile) ? readFileSync(files.subnetFile, 'utf8') : '';
  const lines = text.split('\n').filter((line) => line.includes('='));
  return new Map(lines.map((line) => line.split('=') as [string, string]));
}

const ours = { program: path.join(programs, 'flannel'), plugins: programs, configuration: flannel };

export const candidates: readonly Candidate[] = [
  {
    name: 'reference',
    title: `bridge + host-local (CNI plugins ${version})`,
    program: path.join(newest.plugins, 'bridge'),
    plugins: newest.plugins,
    daemon: false,
    configuration: bridge,
  },
  { name: 'warm', title: 'flannel with flanneld', ...ours, daemon: true },
  { name: 'stand-alone', title: 'flannel alone', ...ours, daemon: false },
];
