import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bundlesIn } from './bundle.mjs';
import { step } from './step.mjs';

/**
 * A node and a pod in namespaces of their own, which are gone when it is over, with all that runs there. Not everybody may make such,
 * or has `ip`. What the machine's own pods have in /var/lib is hidden: flanneld would sweep it, for it sees none of their links.
 */
const aNode = `
mount -t tmpfs none /var/lib || exit
unshare --net sleep 20 & pod=$!
until [ "$(readlink /proc/$pod/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
export CNI_NETNS=/proc/$pod/ns/net
comeAndGo() { for CNI_COMMAND in ADD DEL; do export CNI_COMMAND; flannel < configuration; done; }
comeAndGo
ip link add v0 type veth peer name v1 && ip address add 192.0.2.1/24 dev v0 && ip link set v0 up
flanneld --lease-dir=leases --net-config-path=net-conf.json --iface=v0 --node-name=node --state-dir=state \\
  --subnet-file=subnet.env --socket=flanneld.sock & flanneld=$!
for _ in $(seq 100); do [ -S flanneld.sock ] && break; sleep 0.02; done
FLANNELD_SOCKET=flanneld.sock comeAndGo
kill $flanneld && wait $flanneld
kill $pod`;

/** What is done with the programs, and does nothing to this machine; how it ends does not matter. Each adds to what is kept. */
const trials = [
  ['flanneld', '--help'],
  ['cni-tool', '--help'],
  ['sh', '-c', 'flannel < configuration'],
  ['unshare', '--net', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', aNode],
];

const environment = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'none',
  CNI_IFNAME: 'eth0',
  CNI_NETNS: '/nonexistent',
  CNI_PATH: '/nonexistent',
  FLANNELD_SOCKET: '/nonexistent',
};

const files = {
  'net-conf.json': JSON.stringify({ Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } }),
  'subnet.env': `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.1.1/24
FLANNEL_IPV6_NETWORK=fd00:244::/48
FLANNEL_IPV6_SUBNET=fd00:244:0:1::1/64
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
`,
  configuration: JSON.stringify({
    cniVersion: '1.0.0',
    name: 'cbr0',
    type: 'flannel',
    subnetFile: 'subnet.env',
    dataDir: 'flannel',
    ipam: { dataDir: 'networks' },
  }),
};

/** Tries the programs, for the code that V8 makes of them meanwhile. Only this machine's own can be tried. */
export async function keepCode({ out }) {
  const bundles = bundlesIn(`${out}/flannelette`);
  await step({
    title: `compiled code in ${bundles.map((bundle) => `${path.basename(bundle)}.code`).join(', ')}`,
    inputs: [
      ...bundles,
      'scripts/building/start.cjs',
      'scripts/building/keep-code.cjs',
      'package-lock.json',
      'native/runtime.c',
      'native/launcher.c',
      'native/start.c',
    ],
    recipe: JSON.stringify({ trials, environment, files }),
    outputs: bundles.map((bundle) => `${bundle}.code`),
    make: () => {
      for (const bundle of bundles) rmSync(`${bundle}.code`, { force: true });
      inScratch((cwd) => {
        for (const [name, text] of Object.entries(files)) writeFileSync(path.join(cwd, name), text);
        for (const [command, ...args] of trials) attempt(path.resolve(out), cwd, command, args);
      });
    },
  });
}

function inScratch(use) {
  const directory = mkdtempSync(path.join(tmpdir(), 'flannelette-build-'));
  try {
    use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function attempt(out, cwd, command, args) {
  const PATH = `${out}:${process.env.PATH}`;
  const NODE_OPTIONS = `--require ${JSON.stringify(path.resolve('scripts/building/keep-code.cjs'))}`;
  spawnSync(command, args, {
    cwd,
    env: { ...environment, PATH, NODE_OPTIONS },
    stdio: 'ignore',
    timeout: 20_000,
  });
}
