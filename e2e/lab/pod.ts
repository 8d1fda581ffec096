import { imageName } from './image.ts';
import type { HostPort, SandboxConfig } from './cri.ts';
import type { LabNode } from './node.ts';

export interface PodOptions {
  readonly name: string;
  readonly hostPorts?: readonly HostPort[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A pod of one container that sleeps; commands run in it. */
export class Pod {
  readonly node: LabNode;
  readonly name: string;
  readonly id: string;
  /** The pod's addresses, IPv4 first. */
  readonly addresses: readonly string[];
  /** How long RunPodSandbox took, in milliseconds. */
  readonly sandboxMs: number;
  #container: Promise<string> | undefined;
  readonly #config: SandboxConfig;

  private constructor(
    node: LabNode,
    config: SandboxConfig,
    id: string,
    addresses: readonly string[],
    sandboxMs: number,
  ) {
    this.node = node;
    this.name = config.metadata.name;
    this.id = id;
    this.addresses = addresses;
    this.sandboxMs = sandboxMs;
    this.#config = config;
  }

  static async run(node: LabNode, options: PodOptions): Promise<Pod> {
    const config = podConfiguration(node, options);
    const start = performance.now();
    const { pod_sandbox_id: id } = await node.cri.call('RunPodSandbox', { config });
    const took = performance.now() - start;
    const { status } = await node.cri.call('PodSandboxStatus', { pod_sandbox_id: id, verbose: false });
    const network = status.network;
    const addresses = network === null ? [] : [network.ip, ...network.additional_ips.map(({ ip }) => ip)];
    return new Pod(node, config, id, addresses, took);
  }

  get v4(): string | undefined {
    return this.addresses.find((address) => address.includes('.'));
  }

  get v6(): string | undefined {
    return this.addresses.find((address) => address.includes(':'));
  }

  /** Runs a shell command in the pod; throws with its output when it fails. */
  async exec(script: string, seconds = 30): Promise<string> {
    this.#container ??= this.#startContainer();
    const request = { container_id: await this.#container, cmd: ['/bin/sh', '-c', script], timeout: seconds };
    const { stdout, stderr, exit_code: code } = await this.node.cri.call('ExecSync', request, seconds + 5);
    if (code !== 0)
      throw new Error(
        `${script} in ${this.name} ended with ${code}: ${stderr.toString()}${stdout.toString()}`,
      );
    return stdout.toString();
  }

  /** Whether a ping to the address is answered within two seconds. */
  async reaches(address: string): Promise<boolean> {
    const output = await this.exec(`ping -c 1 -W 2 ${address} || true`);
    return output.includes(' 0% packet loss');
  }

  async stop(): Promise<void> {
    await this.node.cri.call('StopPodSandbox', { pod_sandbox_id: this.id });
  }

  async remove(): Promise<void> {
    await this.node.cri.call('RemovePodSandbox', { pod_sandbox_id: this.id });
  }

  async #startContainer(): Promise<string> {
    const config = {
      metadata: { name: 'main', attempt: 0 },
      image: { image: imageName },
      command: ['/pause'],
      log_path: 'main.log',
    };
    const request = { pod_sandbox_id: this.id, config, sandbox_config: this.#config };
    const { container_id: id } = await this.node.cri.call('CreateContainer', request);
    await this.node.cri.call('StartContainer', { container_id: id });
    return id;
  }
}

/** What kubelet would hand over for such a pod. */
export function podConfiguration(node: LabNode, options: PodOptions): SandboxConfig {
  const { name } = options;
  return {
    metadata: { name, uid: `uid-${name}`, namespace: 'default', attempt: 0 },
    hostname: name,
    log_directory: `/var/log/pods/${name}`,
    port_mappings: (options.hostPorts ?? []).map(({ containerPort, hostPort }) => ({
      protocol: 'TCP',
      container_port: containerPort,
      host_port: hostPort,
    })),
    annotations: options.annotations ?? {},
    linux: { cgroup_parent: node.cgroup },
  };
}
