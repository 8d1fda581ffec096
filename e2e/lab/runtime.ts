import { existsSync } from 'node:fs';
import path from 'node:path';
import { repository } from './binary.ts';

/** A container runtime with the reference plugins of its time. */
export interface Runtime {
  readonly name: 'containerd 1.6' | 'containerd 2.4';
  /** Where `containerd`, `ctr` and the shim are. */
  readonly programs: string;
  /** Where the reference CNI plugins are. */
  readonly plugins: string;
  /** Why it cannot be used here; undefined when it can. */
  readonly missing?: string;
}

const built = path.join(repository, '.cache/e2e/current');

/** What Debian 12 brings: containerd 1.6 and the CNI plugins 1.1.1. */
export const debian: Runtime = { name: 'containerd 1.6', programs: '/usr/bin', plugins: '/usr/lib/cni' };

/** What scripts/go-tools.mjs builds: containerd 2.4 and the CNI plugins 1.9.1. */
const today: Runtime = {
  name: 'containerd 2.4',
  programs: built,
  plugins: path.join(built, 'cni'),
  ...(existsSync(path.join(built, 'complete'))
    ? {}
    : { missing: 'containerd 2.4 is not built: Go is missing or older than e2e/go.mod asks for' }),
};

export const runtimes: readonly Runtime[] = [debian, today];

/** The newest runtime that is there. */
export const newest: Runtime = today.missing === undefined ? today : debian;

/** containerd's configuration file: only what differs from its defaults, in the version its release reads. */
export function containerdConfiguration(runtime: Runtime, image: string): string {
  return runtime.name === 'containerd 1.6' ? version2(image) : version4(image);
}

function version2(image: string): string {
  return `version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${image}"
  disable_apparmor = true
  disable_tcp_service = true
  restrict_oom_score_adj = true
`;
}

function version4(image: string): string {
  return `version = 4
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '${image}'
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
`;
}
