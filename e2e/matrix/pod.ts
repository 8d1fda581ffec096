import path from 'node:path';
import { shippedConfiguration } from '../lab/lab.ts';
import type { Machine } from '../lab/machine.ts';
import { programs } from '../lab/node.ts';

interface Answer {
  readonly ips: readonly { readonly address: string }[];
}

/** A pod: a network namespace that the built CNI plugin has attached, called as a container runtime calls it. */
export class BarePod {
  readonly machine: Machine;
  readonly name: string;
  readonly #addresses: readonly string[];

  private constructor(machine: Machine, name: string, addresses: readonly string[]) {
    this.machine = machine;
    this.name = name;
    this.#addresses = addresses;
  }

  static async add(machine: Machine, name: string): Promise<BarePod> {
    await machine.exec(['ip', 'netns', 'add', name]);
    await machine.exec(['ip', '-n', name, 'link', 'set', 'lo', 'up']);
    const call = {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: `sandbox-${name}`,
      CNI_NETNS: `/run/netns/${name}`,
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/opt/cni/bin',
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`,
    };
    const environment = Object.entries(call).map(([key, value]) => `${key}=${value}`);
    const plugin = path.join(programs, 'flannel');
    const answer = await machine.exec(['env', '-i', ...environment, plugin], firstPlugin());
    const { ips } = JSON.parse(answer) as Answer;
    return new BarePod(
      machine,
      name,
      ips.map(({ address }) => address.replace(/\/.*/, '')),
    );
  }

  address(version: 4 | 6): string {
    const found = this.#addresses.find((address) => address.includes(version === 4 ? '.' : ':'));
    if (found === undefined) throw new Error(`${this.name} has no IPv${version} address`);
    return found;
  }

  shell(script: string): Promise<string> {
    return this.machine.exec(['nsenter', `--net=/run/netns/${this.name}`, 'bash', '-euc', script]);
  }

  /** Whether a ping is answered; with a size, one of that many bytes in all, which nobody may cut. */
  async reaches(address: string, bytes?: number): Promise<boolean> {
    const headers = address.includes(':') ? 48 : 28;
    const whole = bytes === undefined ? [] : ['-M', 'do', '-s', String(bytes - headers)];
    const ping = ['ping', '-c', '1', '-W', '2', ...whole, address];
    return this.machine.succeeds('nsenter', `--net=/run/netns/${this.name}`, ...ping);
  }
}

/** The configuration of the shipped list's first plugin, as the runtime hands it over. */
function firstPlugin(): string {
  const { name, cniVersion, plugins } = JSON.parse(shippedConfiguration()) as {
    name: string;
    cniVersion: string;
    plugins: object[];
  };
  return JSON.stringify({ ...plugins[0], name, cniVersion });
}
