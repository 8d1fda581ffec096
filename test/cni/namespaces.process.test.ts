import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createNetns, type Netns } from '../kit/netns.ts';
import { programs } from './conformance/harness.ts';
import { scratchDirectory } from './scratch.ts';

function namespace(): Netns {
  const netns = createNetns();
  onTestFinished(() => netns.remove());
  return netns;
}

async function nodeNamespace(): Promise<Netns> {
  const netns = namespace();
  await netns.exec('ip', 'link', 'add', 'eth0', 'up', 'type', 'bridge');
  await netns.exec('ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'eth0');
  return netns;
}

test('flanneld leaves the pods of another network namespace alone, and sweeps those of its own', async () => {
  const [node, other, pod] = [await nodeNamespace(), await nodeNamespace(), namespace()];
  const directory = scratchDirectory();
  const subnet = path.join(directory, 'subnet.env');
  const configuration = path.join(directory, 'net-conf.json');
  fs.writeFileSync(configuration, '{"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}');
  const request = JSON.stringify({ cniVersion: '1.1.0', name: 'cbr0', type: 'flannel', subnetFile: subnet });
  const script = `set -e
mount -t tmpfs machine /var/lib
addresses=/var/lib/cni/networks/cbr0
run() {
  rm -f ${subnet}
  nsenter --net=$1 ${programs}/flanneld --net-config-path=${configuration} --lease-dir=${directory}/leases --node-name=node \
    --iface=eth0 --subnet-file=${subnet} --state-dir=${directory}/state --socket=${directory}/socket > ${directory}/log 2>&1 &
  daemon=$!
  trap 'kill $daemon' EXIT
  for i in $(seq 500); do test -f ${subnet} && break; sleep 0.01; done
  $2
  trap - EXIT
  kill $daemon
  wait $daemon
}
plugin() {
  echo '${request}' | nsenter --net=${node.path} ${programs}/flannel > ${directory}/result || { cat ${directory}/result; exit 1; }
}
export FLANNELD_SOCKET=${directory}/nobody CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_NETNS=${pod.path} CNI_IFNAME=eth0 CNI_PATH=/nowhere
run ${node.path} plugin
touch -d '10 minutes ago' $addresses/*
run ${other.path} true
echo alive: $(ls $addresses | grep '^10')
ip -n ${pod.name} link del eth0
run ${node.path} true
echo gone: $(ls $addresses | grep '^10')`;
  const { stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-c', script], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(stdout + stderr).toMatch(/^alive: 10\.244\.\d+\.2\ngone:\n$/);
});
