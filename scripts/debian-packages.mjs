// The Debian packages, by what they serve. A package counts as there when its programs are, however they came: a
// machine with containerd from elsewhere keeps it.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Refusal, environment, run, seconds } from './step.mjs';

const programs = (...names) => ({ programs: names });
const files = (...paths) => ({ files: paths });
/** A library, wherever a distribution keeps it. */
const library = (name) => ({
  anyOf: ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'].map(
    (dir) => `${dir}/${name}`,
  ),
});

/** Group -> package -> what proves that it is there. */
export const groups = {
  runtime: {
    libatomic1: library('libatomic.so.1'),
  },
  build: {
    gcc: programs('gcc'),
    'libc6-dev': files('/usr/include/stdio.h'),
    'musl-tools': programs('musl-gcc'),
  },
  arm64: {
    'gcc-aarch64-linux-gnu': programs('aarch64-linux-gnu-gcc'),
    'libc6-dev-arm64-cross': files('/usr/aarch64-linux-gnu/include/stdio.h'),
  },
  tests: {
    iproute2: programs('ip', 'bridge'),
    iptables: programs('iptables', 'ip6tables', 'iptables-save'),
    nftables: programs('nft'),
    'iputils-ping': programs('ping'),
    procps: programs('sysctl'),
    'wireguard-go': programs('wireguard-go'),
    'wireguard-tools': programs('wg'),
    'util-linux': programs('nsenter', 'unshare', 'setpriv', 'flock'),
    'etcd-server': programs('etcd'),
  },
  containers: {
    containerd: programs('containerd', 'ctr', 'containerd-shim-runc-v2'),
    runc: programs('runc'),
    'containernetworking-plugins': files('/usr/lib/cni/bridge', '/usr/lib/cni/portmap'),
    'busybox-static': files('/bin/busybox'),
  },
  machine: {
    'qemu-system-x86': programs('qemu-system-x86_64'),
    apparmor: programs('apparmor_parser'),
    seabios: files('/usr/share/seabios/bios-256k.bin'),
    kmod: programs('modprobe', 'depmod'),
    'xz-utils': programs('xz'),
    zstd: programs('zstd'),
  },
};

const why = {
  runtime: 'the pinned Node needs it',
  build: 'compiles the native addon and the launcher',
  arm64: 'compiles the same for arm64',
  tests: 'network namespaces, a second opinion on what the kernel holds, and etcd to keep leases in',
  machine: 'a second machine, emulated, with the kernel features that this one may lack',
  containers: 'nodes with a real container runtime, and the reference plugins to compare with',
};

function missingPackages(names) {
  return names.flatMap((group) => Object.entries(groups[group]).filter(([, proof]) => !isThere(proof)));
}

function isThere({ programs: names = [], files: paths = [], anyOf }) {
  const path = environment().PATH.split(':');
  const found = names.every((name) => path.some((dir) => existsSync(`${dir}/${name}`)));
  return (
    found &&
    paths.every((file) => existsSync(file)) &&
    (anyOf === undefined || anyOf.some((file) => existsSync(file)))
  );
}

/** Installs what the groups need and the machine lacks. Throws a Refusal that says what to do when it cannot. */
export async function installDebianPackages(names) {
  const missing = missingPackages(names).map(([name]) => name);
  if (missing.length === 0) return;
  refuseWhereImpossible(missing);
  const since = Date.now();
  for (const group of names) {
    const here = Object.keys(groups[group]).filter((name) => missing.includes(name));
    if (here.length > 0) console.log(`Installing ${here.join(', ')}: ${why[group]}`);
  }
  await apt(['update', '--quiet']);
  await withoutServices(() => apt(['install', '--quiet', '--yes', '--no-install-recommends', ...missing]));
  const still = missingPackages(names).map(([name]) => name);
  if (still.length > 0)
    throw new Refusal(`apt-get installed ${still.join(', ')}, yet its programs are not in PATH.`);
  console.log(`Debian packages installed in ${seconds(since)}`);
}

function refuseWhereImpossible(missing) {
  const list = missing.join(' ');
  if (process.getuid() !== 0)
    throw new Refusal(`Not root: run this as root, or install first: apt-get install ${list}`);
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  if (!/^ID(_LIKE)?=.*debian/m.test(release)) {
    throw new Refusal(
      `Not a Debian system: install by hand what Debian's packages ${list} bring, then run this again.`,
    );
  }
}

/** Debian asks this program whether a package may start its service. */
const policy = '/usr/sbin/policy-rc.d';

/** The tests start etcd and containerd by themselves: a service that nobody asked for must not come up. */
async function withoutServices(work) {
  if (existsSync(policy)) return work();
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' });
  try {
    return await work();
  } finally {
    rmSync(policy, { force: true });
  }
}

/** apt-get, patiently: another apt that holds the lock (the first minutes of a fresh machine) is waited for. */
async function apt(args) {
  const env = environment({ DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' });
  const command = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0', ...args];
  for (let attempt = 1; ; attempt++) {
    const { code, output } = await run('apt-get', command, { limit: 900, env });
    if (code === 0) return;
    if (!/Could not get lock|Unable to lock/.test(output) || attempt === 60) {
      throw new Refusal(
        `apt-get ${args[0]} failed (exit ${code}):\n${output.trim().split('\n').slice(-12).join('\n')}`,
      );
    }
    if (attempt === 1) console.log('Another apt holds the lock: waiting for it (at most five minutes) ...');
    await new Promise((resolve) => setTimeout(resolve, 5000));
  }
}
