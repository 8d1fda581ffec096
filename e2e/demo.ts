/**
 * The demo: three nodes with real containerd, real flanneld and our CNI plugin, and what they do when somebody is rough
 * with them. Everything it makes is gone at the end, after Ctrl-C too.
 */
import { Cluster } from './lab/cluster.ts';
import { seenAs, tellCallers } from './lab/caller.ts';
import { until } from './lab/command.ts';
import type { LabNode } from './lab/node.ts';
import { Pod } from './lab/pod.ts';
import { debian, newest } from './lab/runtime.ts';
import { Screen } from './screen.ts';
import { traffic } from './lab/traffic.ts';

const screen = new Screen();
let failures = 0;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  // the nodes die with this process, and the lab removes its traces when the process exits
  process.once(signal, () => {
    console.log(`\n${signal}: taking everything down`);
    process.exit(130);
  });
}

function verdict(ok: boolean, text: string): void {
  if (!ok) failures += 1;
  screen.verdict(ok, text);
}

async function demo(): Promise<void> {
  screen.heading('Three nodes');
  const cluster = await startCluster();
  try {
    const pods = await startPods(cluster);
    await showMatrix(pods);
    await showHostPorts(cluster, pods);
    await showMasquerade(cluster, pods);
    await showKill(cluster, pods);
    await showRepair(pods);
    await showEnd(pods);
  } finally {
    screen.heading('Taking it all down');
    await cluster.stop();
    screen.say('network namespaces, processes, mounts and cgroups are gone');
  }
}

async function startCluster(): Promise<Cluster> {
  const runtime = newest;
  const older = runtime === debian ? ', from Debian' : '';
  screen.say(
    `each made of namespaces of its own, with ${runtime.name}${older}, flanneld and our CNI plugin ...`,
  );
  const cluster = await Cluster.start({ nodes: 3, family: 'dual', runtime, record: true });
  screen.good('all three are Ready, and each knows the way to the others');
  const subnets = await Promise.all(
    cluster.nodes.map((node) => node.exec(['cat', '/run/flannel/subnet.env'])),
  );
  const value = (env: string | undefined, key: string) =>
    new RegExp(`^${key}=(.*)$`, 'm').exec(env ?? '')?.[1] ?? '';
  screen.table([
    ['node', 'address', 'pod subnets', ''],
    ...cluster.nodes.map((node, i) => [
      node.name,
      node.address,
      value(subnets[i], 'FLANNEL_SUBNET'),
      value(subnets[i], 'FLANNEL_IPV6_SUBNET'),
    ]),
  ]);
  return cluster;
}

async function startPods(cluster: Cluster): Promise<Pod[]> {
  screen.heading('Two pods a node, through the container runtime interface');
  const wanted = cluster.nodes.flatMap((node, i) =>
    ['a', 'b'].map((letter) => ({
      node,
      name: `pod-${i + 1}${letter}`,
      port: letter === 'a' ? 8080 : undefined,
    })),
  );
  const pods: Pod[] = [];
  for (const { node, name, port } of wanted) {
    const hostPorts = port === undefined ? [] : [{ containerPort: 80, hostPort: port }];
    pods.push(await Pod.run(node, { name, hostPorts }));
  }
  screen.table([
    ['pod', 'node', 'IPv4', 'IPv6', 'whole sandbox', 'our ADD in it'],
    ...pods.map((pod) => [
      pod.name,
      pod.node.name,
      pod.v4 ?? '-',
      pod.v6 ?? '-',
      `${pod.sandboxMs.toFixed(0)} ms`,
      `${addTime(pod).toFixed(1)} ms`,
    ]),
  ]);
  verdict(
    new Set(pods.flatMap(({ addresses }) => addresses)).size === 12,
    'twelve addresses, no two the same',
  );
  return pods;
}

/** Of the whole plugin process, from outside. */
function addTime(pod: Pod): number {
  const calls = pod.node.calls().filter((call) => call.plugin === 'flannel' && call.CNI_COMMAND === 'ADD');
  return calls.find((call) => call.CNI_CONTAINERID === pod.id)?.tookMs ?? Number.NaN;
}

async function showMatrix(pods: readonly Pod[]): Promise<void> {
  screen.heading('Every pod pings every other one, IPv4 and IPv6');
  const mark = (ok: boolean) => (ok ? 'ok' : 'LOST');
  const rows = await Promise.all(
    pods.map(async (from) => {
      const cells = pods.map(async (to) => {
        if (to === from) return '·';
        const answered = [await from.reaches(to.v4 ?? ''), await from.reaches(to.v6 ?? '')];
        return answered.map(mark).join(' ');
      });
      return [from.name, ...(await Promise.all(cells))];
    }),
  );
  screen.table([['from \\ to', ...pods.map(({ name }) => name)], ...rows]);
  const lost = rows.flat().filter((cell) => cell.includes('LOST')).length;
  verdict(lost === 0, lost === 0 ? 'all 60 were answered' : `${lost} pairs do not reach each other`);
}

async function showHostPorts(cluster: Cluster, pods: readonly Pod[]): Promise<void> {
  screen.heading('HTTP by host port 8080, asked from another node');
  for (const [i, node] of cluster.nodes.entries()) {
    const pod = pods.find((other) => other.node === node);
    await pod?.exec('mkdir -p /www; echo "hello from $(hostname)" > /www/index.html; httpd -p 80 -h /www');
    const asking = cluster.node(((i + 1) % cluster.nodes.length) + 1);
    const answer = await get(asking, `http://${node.address}:8080/`);
    verdict(answer === `hello from ${pod?.name}`, `${asking.name} asks ${node.address}:8080: "${answer}"`);
  }
}

async function get(node: LabNode, url: string): Promise<string> {
  const output = await node.exec(['busybox', 'wget', '-qO-', url]).catch((error: unknown) => String(error));
  return output.trim();
}

async function showMasquerade(cluster: Cluster, pods: readonly Pod[]): Promise<void> {
  screen.heading('The address under which a pod is seen');
  const [from, to] = [pods[0], pods[2]] as [Pod, Pod];
  const outside = cluster.node(3);
  await Promise.all([tellCallers(to), tellCallers(outside)]);
  const [asPod, asNode] = [await seenAs(from, to.v4 ?? ''), await seenAs(from, outside.address)];
  verdict(asPod === from.v4, `${to.name} on another node sees ${from.name} as ${asPod}, its own address`);
  verdict(
    asNode === from.node.address,
    `${outside.name}, outside of the pods' network, sees it as ${asNode}, its node's address`,
  );
}

async function showKill(cluster: Cluster, pods: readonly Pod[]): Promise<void> {
  screen.heading('kill -9 of flanneld on two nodes, under traffic between them');
  const [from, to] = [pods[0], pods[2]] as [Pod, Pod];
  const flows = [traffic(from, to.v4 ?? '', 4), traffic(from, to.v6 ?? '', 4)];
  const upset = async () => {
    await Promise.all([from, to].map((pod) => cluster.killDaemon(pod.node)));
    screen.say(`killed on ${from.node.name} and ${to.node.name}; a ping every 10 ms goes on in each family`);
    const pod = await Pod.run(from.node, { name: 'meanwhile' });
    screen.good(
      `a pod was started without a daemon: ${pod.addresses.join(', ')} in ${addTime(pod).toFixed(0)} ms`,
    );
    await pod.stop();
    await pod.remove();
    await Promise.all([from, to].map((other) => cluster.startDaemon(other.node)));
    screen.say('started again');
  };
  const [results] = await Promise.all([Promise.all(flows), upset()]);
  for (const [i, { sent, lost }] of results.entries()) {
    verdict(lost === 0, `${i === 0 ? 'IPv4' : 'IPv6'}: ${sent} packets sent, ${lost} lost`);
  }
}

async function showRepair(pods: readonly Pod[]): Promise<void> {
  screen.heading('Somebody deletes what flanneld has made');
  const [from, to] = [pods[0], pods[2]] as [Pod, Pod];
  const subnet = (to.v4 ?? '').replace(/\.\d+$/, '.0/24');
  const route = await repair(from.node, `ip route del ${subnet}`, `[ -n "$(ip route show ${subnet})" ]`);
  screen.good(`the route to ${subnet} was back ${route}`);
  const neighbours = 'ip neigh show dev flannel.1 nud permanent | wc -l';
  const device = await repair(from.node, 'ip link del flannel.1', `[ "$(${neighbours} 2>/dev/null)" = 2 ]`);
  screen.good(`the whole device flannel.1 was back, with its peers, ${device}`);
  await until('the path', 5, () => from.reaches(to.v4 ?? ''));
  screen.good(`${from.name} reaches ${to.name} again`);
}

/** Does the damage and looks every millisecond, in one shell in the node; says how long it took. */
async function repair(node: LabNode, damage: string, mended: string): Promise<string> {
  const script = `${damage}; start=$(date +%s%N); for _ in $(seq 2000); do
    if ${mended}; then echo $(( ($(date +%s%N) - start) / 1000 )); exit 0; fi; sleep .001; done; exit 1`;
  const microseconds = Number(await node.shell(script));
  return `within ${(microseconds / 1000).toFixed(0)} ms`;
}

async function showEnd(pods: readonly Pod[]): Promise<void> {
  screen.heading('The pods end');
  await Promise.all(pods.map((pod) => pod.stop()));
  await Promise.all(pods.map((pod) => pod.remove()));
  const nodes = [...new Set(pods.map(({ node }) => node))];
  const addresses = nodes.flatMap((node) => node.reservations());
  const ports = (await Promise.all(nodes.map((node) => node.ports()))).flat();
  verdict(
    addresses.length === 0 && ports.length === 0,
    `${addresses.length} addresses still reserved, ${ports.length} links still there`,
  );
}

await demo();
if (failures > 0) console.log(`\n${failures} of the promises above were not kept`);
process.exitCode = failures === 0 ? 0 : 1;
