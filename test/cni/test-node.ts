import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { type Binding, loadBinding } from '../../native/binding.ts';
import type { Sysctl } from '../../src/cni/attachment/sysctls.ts';
import { machineFiles } from '../../src/cni/records/files.ts';
import type { Reply } from '../../src/cni/launcher/frame.ts';
import { observeBridge } from '../../src/cni/attachment/link.ts';
import { LoneCaller } from '../../src/cni/lone-caller.ts';
import { identityOf } from '../../src/cni/own-namespace.ts';
import { serve } from '../../src/cni/serve.ts';
import { Stores } from '../../src/cni/records/stores.ts';
import type { World } from '../../src/cni/world.ts';
import { chooseBackend } from '../../src/firewall/masquerade.ts';
import { type Run, runProcess } from '../../src/firewall/process.ts';
import { delLink } from '../../src/netlink/route/link.ts';
import { SyncSession } from '../../src/netlink/session.ts';
import { openSocket } from '../../src/netlink/socket.ts';
import { systemClock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { systemRandom } from '../../src/world/random.ts';
import { createNetns, type Netns } from '../kit/netns.ts';
import { scratchDirectory } from './scratch.ts';

export type Json = Record<string, unknown>;

const binding: Binding = loadBinding();

/** The stand-alone caller, except that "the host" is a namespace of the test's own. */
class TestCaller extends LoneCaller {
  readonly #host: Netns;
  constructor(host: Netns, environment: Readonly<NodeJS.ProcessEnv>, world: World) {
    super(binding, environment, world);
    this.#host = host;
  }
  protected override writeSysctl({ where, path: name, value }: Sysctl): number {
    const pod = this.pod.state === 'open' ? this.pod.fdOfCaller : -1;
    return -binding.writeInNetns(where === 'pod' ? pod : this.#host.fd, `/proc/sys/${name}`, value);
  }
}

/** A node made of one namespace and one directory: the verbs run in this process. All is gone when the test has ended. */
export class TestNode {
  readonly host: Netns = createNetns();
  readonly directory: string;
  readonly networks: string;
  readonly addresses: string;
  readonly states: string;
  readonly records: string;
  readonly subnetFile: string;
  readonly world: World;
  readonly #stores = new Stores({
    files: fs,
    flock: (fd, operation) => binding.flock(fd, operation),
    clock: systemClock,
  });

  /** `directory`: of another node, where the two share one. */
  constructor(changes: Partial<World> = {}, directory = scratchDirectory()) {
    this.directory = directory;
    this.networks = path.join(directory, 'networks');
    this.addresses = path.join(this.networks, 'cbr0');
    this.states = path.join(directory, 'flannel');
    this.records = path.join(directory, 'flannelette', 'cbr0');
    this.subnetFile = path.join(directory, 'subnet.env');
    onTestFinished(() => this.host.remove());
    const session = new SyncSession(openSocket(binding, { netnsFd: this.host.fd }));
    onTestFinished(() => {
      session.close();
      this.#stores.close();
    });
    const run = this.#run();
    this.world = {
      host: session,
      hostNetns: identityOf(this.host.fd),
      observeBridge: (name) => observeBridge(session, name),
      forwarding: () => ({ 4: this.#holds('ipv4/ip_forward'), 6: this.#holds('ipv6/conf/all/forwarding') }),
      beingMade: new Set(),
      async removeLink(ifi_index) {
        session.request(delLink({ ifi_index }));
      },
      store: (directory) => this.#stores.open(directory),
      existingStore: (directory) => this.#stores.openExisting(directory),
      files: machineFiles,
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      run,
      bootTime: 0,
      adoptedBridges: new Set(),
      masqueradeBackend: () => chooseBackend(run),
      expectMasquerade: async () => {},
      ...changes,
    };
    this.writeSubnet({});
  }

  /** The subnet file: both families unless a change says otherwise; undefined leaves a line out. */
  writeSubnet(changes: Record<string, string | undefined>): void {
    const lines = {
      FLANNEL_NETWORK: '10.244.0.0/16',
      FLANNEL_SUBNET: '10.244.1.1/24',
      FLANNEL_IPV6_NETWORK: 'fd00:244::/56',
      FLANNEL_IPV6_SUBNET: 'fd00:244:0:1::1/64',
      FLANNEL_MTU: '1450',
      FLANNEL_IPMASQ: 'true',
      ...changes,
    };
    const text = Object.entries(lines).flatMap(([key, value]) =>
      value === undefined ? [] : [`${key}=${value}\n`],
    );
    fs.writeFileSync(this.subnetFile, text.join(''));
  }

  /** A pod's namespace. */
  pod(): Netns {
    const netns = createNetns();
    onTestFinished(() => netns.remove());
    return netns;
  }

  configuration(changes: Json = {}): Json {
    return {
      cniVersion: '1.1.0',
      name: 'cbr0',
      type: 'flannel',
      subnetFile: this.subnetFile,
      dataDir: this.states,
      ipam: { dataDir: this.networks },
      delegate: { hairpinMode: true, isDefaultGateway: true },
      ...changes,
    };
  }

  /** The shipped delegate with changes. */
  delegate(changes: Json): Json {
    return this.configuration({ delegate: { hairpinMode: true, isDefaultGateway: true, ...changes } });
  }

  /** One call of the plugin for container c1, eth0, unless `environment` says otherwise. */
  async call(
    verb: string,
    pod: Netns | string,
    configuration = this.configuration(),
    environment: Json = {},
  ): Promise<Reply> {
    const env = {
      ...process.env,
      CNI_COMMAND: verb,
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: typeof pod === 'string' ? pod : pod.path,
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/usr/lib/cni',
      ...(environment as Record<string, string>),
    };
    const caller = new TestCaller(this.host, env, this.world);
    try {
      return await serve(
        this.world,
        { environment: env, stdin: Buffer.from(JSON.stringify(configuration)) },
        caller,
      );
    } finally {
      caller.close();
    }
  }

  /** The same, which must succeed; answers the document on standard output, undefined when there is none. */
  async ok(
    verb: string,
    pod: Netns | string,
    configuration?: Json,
    environment?: Json,
  ): Promise<Json | undefined> {
    const { status, stdout } = await this.call(verb, pod, configuration, environment);
    if (status !== 0) throw new Error(`${verb} failed: ${stdout}`);
    return stdout === '' ? undefined : (JSON.parse(stdout) as Json);
  }

  /** The same, which must fail; answers the error. */
  async error(
    verb: string,
    pod: Netns | string,
    configuration?: Json,
    environment?: Json,
  ): Promise<{ code: number; msg: string; details?: string }> {
    const { status, stdout } = await this.call(verb, pod, configuration, environment);
    if (status === 0) throw new Error(`${verb} succeeded: ${stdout}`);
    return JSON.parse(stdout) as { code: number; msg: string };
  }

  /** The addresses that are reserved. */
  reserved(): string[] {
    if (!fs.existsSync(this.addresses)) return [];
    const names = fs.readdirSync(this.addresses);
    return names.filter((name) => name !== 'lock' && !name.startsWith('last_reserved_ip.')).toSorted();
  }

  /** Names of the veths on the node. */
  async veths(): Promise<string[]> {
    const links = (await this.host.json('ip', 'link', 'show', 'type', 'veth')) as { ifname: string }[];
    return links.map(({ ifname }) => ifname);
  }

  /** All that could be left of attachments. */
  async leftovers(): Promise<Json> {
    const list = (directory: string) => (fs.existsSync(directory) ? fs.readdirSync(directory) : []);
    return {
      veths: await this.veths(),
      reserved: this.reserved(),
      states: list(this.states),
      records: list(this.records),
    };
  }

  /** Sysctls of the node are those of its namespace. */
  #holds(name: string): boolean {
    const command = ['netns', 'exec', this.host.name, 'cat', `/proc/sys/net/${name}`];
    return execFileSync('ip', command, { encoding: 'utf8' }).trim() === '1';
  }

  #run(): Run {
    const inside = runProcess();
    return (program, args, stdin) => inside('ip', ['netns', 'exec', this.host.name, program, ...args], stdin);
  }
}

/** A node on which these containers have a pod each, by the shipped delegate with changes. */
export async function withPods(ids: string[], delegate: Json = {}, changes = {}): Promise<TestNode> {
  const node = new TestNode(changes);
  for (const CNI_CONTAINERID of ids)
    await node.ok('ADD', node.pod(), node.delegate(delegate), { CNI_CONTAINERID });
  return node;
}

export const nothing = { veths: [], reserved: [], states: [], records: [] };

/** What `addr` shows of a link's addresses that are not link-local. */
export async function addressesIn(netns: Netns, link: string): Promise<string[]> {
  const shown = (await netns.json('ip', 'addr', 'show', 'dev', link)) as {
    addr_info: { local: string; prefixlen: number; scope: string }[];
  }[];
  return shown
    .flatMap(({ addr_info }) => addr_info)
    .filter(({ scope }) => scope !== 'link')
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}
