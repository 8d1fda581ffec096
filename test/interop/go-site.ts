import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createInterface } from 'node:readline';
import { expect } from 'vitest';
import {
  type GoCluster,
  type GoNode,
  goAnnotations,
  goDelegate,
  goDevices,
  goNftables,
  goNode,
  goPeer,
  goRules,
  goRulesAgain,
  goSubnetEnv,
  netConf,
} from './go-flannel.ts';
import { createNetns, type Netns } from '../kit/netns.ts';
import { Api } from '../daemon/api.ts';
import { Cluster, flanneld, until } from '../daemon/cluster.ts';

/** Two nodes as Go flannel left them, with a pod each that the reference plugins made. */
export class GoSite {
  readonly shape: GoCluster;
  readonly cluster: Cluster;
  readonly pods: Netns[] = [];
  readonly #pings: ChildProcess[] = [];
  #api: Api | undefined;

  private constructor(shape: GoCluster, cluster: Cluster) {
    this.shape = shape;
    this.cluster = cluster;
  }

  static async start(shape: GoCluster, registry: 'directory' | 'kubernetes' = 'directory'): Promise<GoSite> {
    const cluster = await Cluster.start(shape.dualStack ? 'dual' : 'v4', 2);
    const site = new GoSite(shape, cluster);
    cluster.configure(site.netConf);
    if (registry === 'kubernetes') site.#api = await Api.start(cluster);
    else fs.mkdirSync(cluster.file('leases'));
    for (const i of [0, 1]) await site.#layOut(i);
    for (const i of [0, 1]) await until(() => site.answers(i));
    return site;
  }

  self(i: number): GoNode {
    return goNode(i + 1);
  }

  node(i: number): Netns {
    const node = this.cluster.nodes[i];
    if (node === undefined) throw new TypeError(`there is no node ${i}`);
    return node;
  }

  async #layOut(i: number): Promise<void> {
    const self = this.self(i);
    await withoutDad(this.node(i));
    for (const line of [...goDevices(this.shape, self), ...goPeer(this.shape, this.self(1 - i))])
      await this.run(i, line);
    this.#writeRules(i);
    fs.writeFileSync(this.cluster.file(`${i}.env`), goSubnetEnv(this.shape, self));
    await this.#addPod(i);
    await this.#publish(i);
  }

  get netConf(): object {
    return netConf(this.shape);
  }

  get families(): (4 | 6)[] {
    return this.shape.dualStack ? [4, 6] : [4];
  }

  async run(i: number, line: string): Promise<string> {
    const [program = '', ...args] = line.split(' ');
    return this.node(i).exec(program, ...args);
  }

  #writeRules(i: number, when?: 'again'): void {
    const self = this.self(i);
    const feed = (input: string, ...command: string[]) =>
      execFileSync('nsenter', [`--net=${this.node(i).path}`, ...command], { input });
    if (this.shape.nftables === true) return void feed(goNftables(this.shape, self), 'nft', '-f', '-');
    for (const family of this.families) {
      const { empty, fill } = goRulesAgain(family, self);
      const inputs = when === 'again' ? [empty, fill] : [goRules(family, self)];
      const program = family === 4 ? 'iptables-restore' : 'ip6tables-restore';
      for (const input of inputs) feed(input, program, '--noflush');
    }
  }

  async #addPod(i: number): Promise<void> {
    const pod = createNetns();
    await withoutDad(pod);
    this.pods[i] = pod;
    const delegate = { ...goDelegate(this.shape, this.self(i)) } as { ipam: object };
    delegate.ipam = { ...delegate.ipam, dataDir: this.cluster.file(`networks-${i}`) };
    execFileSync('nsenter', [`--net=${this.node(i).path}`, '/usr/lib/cni/bridge'], {
      input: JSON.stringify(delegate),
      env: {
        PATH: process.env['PATH'],
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: `pod-${i}`,
        CNI_NETNS: pod.path,
        CNI_IFNAME: 'eth0',
        CNI_PATH: '/usr/lib/cni',
      },
    });
  }

  /** What its daemon has told the registry. */
  async #publish(i: number): Promise<void> {
    if (this.#api !== undefined) {
      await this.#api.tell('addNode', `node-${i}`, this.podCIDRs(i), goAnnotations(this.shape, this.self(i)));
      return;
    }
    const { subnet, ipv6Subnet, publicIP, publicIPv6, mac, ipv6Mac } = this.self(i);
    const data = (VtepMAC: string) => (this.shape.backend === 'vxlan' ? { VNI: 1, VtepMAC } : undefined);
    const lease = {
      Subnet: subnet,
      PublicIP: publicIP,
      BackendType: this.shape.backend,
      BackendData: data(mac),
      ...(this.shape.dualStack && {
        IPv6Subnet: ipv6Subnet,
        PublicIPv6: publicIPv6,
        BackendV6Data: data(ipv6Mac),
      }),
    };
    fs.writeFileSync(this.cluster.file(`leases/node-${i}.json`), JSON.stringify(lease));
  }

  /** Whether the pod of node `i` reaches the other one, in each family. */
  async answers(i: number): Promise<boolean> {
    const answers = this.families.map(async (family) =>
      this.pods[i]?.exec('ping', `-${family}`, '-c1', '-W1', this.#podAddress(1 - i, family)).then(
        () => true,
        () => false,
      ),
    );
    return (await Promise.all(answers)).every((answer) => answer === true);
  }

  #podAddress(i: number, family: 4 | 6): string {
    const { base, ipv6Base } = this.self(i);
    return family === 4 ? base.replace(/0$/, '2') : `${ipv6Base}2`;
  }

  /** Pods talk to each other every 5 ms while `work` is done: how many packets were lost on each of the ways. */
  async lostDuring(work: () => Promise<void>): Promise<number[]> {
    const pings = [0, 1].flatMap((i) => this.families.map((family) => this.#ping(i, family)));
    try {
      await work();
      await until(() => pings.every(({ seen }) => seen.size > 50));
    } finally {
      for (const { child } of pings) child.kill('SIGKILL');
    }
    // What was on its way at the end does not count.
    return pings.map(({ seen }) => Math.max(...seen) - seen.size);
  }

  #ping(i: number, family: 4 | 6): { child: ChildProcess; seen: Set<number> } {
    const target = this.#podAddress(1 - i, family);
    const command = [`--net=${this.pods[i]?.path}`, 'ping', `-${family}`, '-n', '-i', '0.005', target];
    const child = spawn('nsenter', command, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#pings.push(child);
    const seen = new Set<number>();
    createInterface(child.stdout).on('line', (line) => {
      const found = /icmp_seq=(\d+) ttl/.exec(line)?.[1];
      if (found !== undefined) seen.add(Number(found));
    });
    return { child, seen };
  }

  /** All that a take-over must not touch. */
  async identity(i: number): Promise<Record<string, unknown>> {
    const node = this.node(i);
    const rules = await Promise.all(
      this.families.map((family) => node.exec(family === 4 ? 'iptables-save' : 'ip6tables-save')),
    );
    const links = (await node.json('ip', '-d', 'link', 'show')) as Record<string, unknown>[];
    const pod = this.pods[i];
    return {
      subnetEnv: fs.readFileSync(this.cluster.file(`${i}.env`), 'utf8'),
      rules: rules.map((text) => text.replaceAll(/^#.*\n/gm, '').replaceAll(/\[\d+:\d+\]/g, '')),
      links: links.map(settledPart),
      addresses: await addressesOf(node),
      fdb: (await node.exec('bridge', 'fdb', 'show'))
        .split('\n')
        .filter((line) => line.includes('flannel'))
        .toSorted(),
      pod: pod && [
        await addressesOf(pod),
        await pod.exec('ip', 'route'),
        await pod.exec('ip', '-6', 'route'),
      ],
    };
  }

  /** The protocols of the routes to the other node. */
  async owners(i: number): Promise<string[]> {
    const { subnet, ipv6Subnet } = this.self(1 - i);
    const shown = await Promise.all([
      this.run(i, `ip route show ${subnet}`),
      this.shape.dualStack ? this.run(i, `ip -6 route show ${ipv6Subnet}`) : '',
    ]);
    const lines = shown.flatMap((text) => text.trim().split('\n')).filter((line) => line !== '');
    return lines.map((line) => /proto (\S+)/.exec(line)?.[1] ?? 'boot');
  }

  /** The subnets that the node has in the registry. */
  async leases(i: number): Promise<string[]> {
    if (this.#api !== undefined) {
      // Go flannel had told everything already, in the same bytes: nothing is written but that the network is up.
      const { bodies } = await this.#api.tell('look');
      expect(bodies.filter((body) => !body.includes('NetworkUnavailable'))).toEqual([]);
      return this.podCIDRs(i);
    }
    const file = this.cluster.file(`leases/node-${i}.json`);
    const lease = JSON.parse(fs.readFileSync(file, 'utf8')) as Record<string, string>;
    return [lease['Subnet'], lease['IPv6Subnet']].flatMap((subnet) => subnet ?? []);
  }

  podCIDRs(i: number): string[] {
    const { subnet, ipv6Subnet } = this.self(i);
    return this.shape.dualStack ? [subnet, ipv6Subnet] : [subnet];
  }

  /** What Go's flanneld does at its start. Throws where it would make something anew, or take something away. */
  async startGo(i: number): Promise<void> {
    const self = this.self(i);
    await this.#adoptDevices(i, self);
    this.#writeRules(i, 'again');
    fs.writeFileSync(this.cluster.file(`${i}.env`), goSubnetEnv(this.shape, self));
    const peer = this.self(1 - i);
    for (const line of goPeer(this.shape, peer)) {
      const wanted = / via (\S+) dev eth0$/.exec(line)?.[1];
      const isThere = wanted !== undefined && (await this.#hasRoute(i, peer, wanted));
      if (!isThere) await this.run(i, line);
    }
  }

  /** What makes one vxlan device different from another, but for its own address. */
  async vxlan(i: number, name: string): Promise<object> {
    const [link] = (await this.node(i).json('ip', '-d', 'link', 'show', name)) as (GoLink & {
      mtu: number;
    })[];
    const { local, local6, ...data } = link?.linkinfo.info_data ?? {};
    return { mtu: link?.mtu, tunnel: typeof (local ?? local6), ...data };
  }

  async macOf(i: number, name: string): Promise<string> {
    const [link] = (await this.node(i).json('ip', 'link', 'show', name)) as GoLink[];
    return link?.address ?? '';
  }

  /** As host-gw compares: destination, gateway, interface. */
  async #hasRoute(i: number, { subnet, ipv6Subnet }: GoNode, gateway: string): Promise<boolean> {
    const family = gateway.includes(':') ? 6 : 4;
    const shown = await this.run(i, `ip -${family} route show ${family === 4 ? subnet : ipv6Subnet}`);
    return shown.includes(`via ${gateway} dev eth0`);
  }

  /** A device is kept when it is like the one that Go flannel would make; then its other addresses in the network are deleted. */
  async #adoptDevices(i: number, self: GoNode): Promise<void> {
    if (this.shape.backend !== 'vxlan') return;
    for (const family of this.families) {
      const name = family === 4 ? 'flannel.1' : 'flannel-v6.1';
      const [link] = (await this.node(i).json('ip', '-d', 'link', 'show', name)) as GoLink[];
      const { id, port, gbp, local, local6, link: lower } = link?.linkinfo.info_data ?? {};
      expect([link?.linkinfo.info_kind, id, port, gbp, local ?? local6, lower]).toEqual([
        'vxlan',
        1,
        8472,
        undefined,
        family === 4 ? self.publicIP : self.publicIPv6,
        'eth0',
      ]);
      expect(link?.address).toBe(family === 4 ? self.mac : self.ipv6Mac);
      const shown = await this.run(i, `ip -${family} -o addr show dev ${name} scope global`);
      expect([...shown.matchAll(/inet6? (\S+)/g)].map(([, address]) => address)).toEqual([
        family === 4 ? `${self.base}/32` : `${self.ipv6Base}/128`,
      ]);
      await this.run(i, `ip link set ${name} up`);
    }
  }

  /** flanneld --adopt-dry-run. */
  dryRun(i: number): { status: number | null; stdout: string } {
    const args = [...this.cluster.args(i), '--ip-masq', '--adopt-dry-run'];
    return spawnSync('nsenter', [`--net=${this.node(i).path}`, flanneld, ...args], { encoding: 'utf8' });
  }

  /** Every file of the cluster, with its bytes. */
  files(): Record<string, string> {
    const names = fs.readdirSync(this.cluster.directory, { recursive: true, encoding: 'utf8' });
    const files = names.filter((name) => fs.statSync(this.cluster.file(name)).isFile());
    return Object.fromEntries(
      files.map((name) => [name, fs.readFileSync(this.cluster.file(name), 'latin1')]),
    );
  }

  async stop(): Promise<void> {
    for (const child of this.#pings) child.kill('SIGKILL');
    await this.#api?.end();
    await this.cluster.stop();
    for (const pod of this.pods) pod.remove();
  }
}

interface GoLink {
  readonly address: string;
  readonly linkinfo: {
    readonly info_kind: string;
    readonly info_data: Readonly<Record<'id' | 'port' | 'gbp' | 'local' | 'local6' | 'link', unknown>>;
  };
}

/** Duplicate address detection takes seconds, and here it decides nothing. */
const withoutDad = (netns: Netns): Promise<string> =>
  netns.exec('sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0');

/** Whether the kernel is done with them does not matter here. */
const addressesOf = async (netns: Netns): Promise<string> =>
  (await netns.exec('ip', '-o', 'addr', 'show')).replaceAll(' tentative', '');

/** Without a bridge's timers. */
function settledPart({ ifindex, ifname, address, mtu, flags, linkinfo }: Record<string, unknown>): object {
  const info = linkinfo as { info_kind?: string; info_data?: object } | undefined;
  return { ifindex, ifname, address, mtu, flags, info: info?.info_kind === 'vxlan' ? info : info?.info_kind };
}
