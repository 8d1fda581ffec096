import { rmSync } from 'node:fs';
import path from 'node:path';
import { subnetKey } from '../../src/lease/etcd/subnet-key.ts';
import { networkOf, prefix as parsePrefix } from '../../src/net/prefix.ts';
import type { Etcd } from '../../test/kit/etcd.ts';
import { type Lab, sharedFile } from '../lab/lab.ts';
import { gateway } from '../lab/underlay.ts';
import { type Combination, versions } from './combination.ts';
import type { NodeObjects } from './node-objects.ts';
import type { SubnetFile } from './subnet-file.ts';

/** The part of a registry that one combination has for itself. */
export interface ClusterRegistry {
  /** The options of flanneld that lead there. */
  readonly options: readonly string[];
  /** Before the flanneld of a node starts; `number` is the node's in the cluster, from 1. */
  admit(name: string, number: number): Promise<void>;
  /** A node is gone for good: as whoever runs the cluster takes it out. */
  remove(name: string, subnets: SubnetFile): Promise<void>;
  /** A machine with another address comes in the place of a node that is gone. */
  makeRoom(name: string, subnets: SubnetFile): Promise<void>;
}

export interface Cluster {
  /** Names it among the others: lower-case letters, digits and dashes. */
  readonly id: string;
  readonly combination: Combination;
  readonly lab: Lab;
  readonly netConfig: string;
}

const nothing = async (): Promise<void> => {};

export function directory({ id, lab, netConfig }: Cluster): ClusterRegistry {
  const leases = path.join(lab.directory, `${id}-leases`);
  return {
    options: [`--net-config-path=${sharedFile(lab, `${id}.json`, netConfig)}`, `--lease-dir=${leases}`],
    admit: nothing,
    remove: async (name) => rmSync(path.join(leases, `${name}.json`)),
    makeRoom: nothing,
  };
}

/** A lease in etcd is its owner's by his address: a new address gets the subnet only when the old lease has ended. */
export async function etcd(server: Etcd, { id, combination, netConfig }: Cluster): Promise<ClusterRegistry> {
  const root = `/matrix/${id}`;
  await server.put(`${root}/config`, netConfig);
  const host = combination.family === 'v6' ? `[${gateway.v6}]` : gateway.v4;
  const remove = (_: string, { subnet, ipv6Subnet }: SubnetFile) => {
    const subnets = {
      ...(subnet !== undefined && { subnet: networkOf(parsePrefix(subnet)) }),
      ...(ipv6Subnet !== undefined && { ipv6Subnet: networkOf(parsePrefix(ipv6Subnet)) }),
    };
    return server.remove(`${root}/subnets/${subnetKey(subnets)}`);
  };
  return {
    options: [`--etcd-endpoints=http://${host}:2379`, `--etcd-prefix=${root}`],
    admit: nothing,
    remove,
    makeRoom: remove,
  };
}

/** All are Nodes of one API server: the prefix of their annotations keeps the clusters apart. */
export function kubernetes(
  nodes: NodeObjects,
  { id, combination, lab, netConfig }: Cluster,
): ClusterRegistry {
  const host = combination.family === 'v6' ? `[${gateway.v6}]` : gateway.v4;
  const cidrs = (number: number) =>
    versions(combination).map((version) =>
      version === 4 ? `10.244.${number}.0/24` : `fd00:244:0:${number}::/64`,
    );
  return {
    options: [
      `--net-config-path=${sharedFile(lab, `${id}.json`, netConfig)}`,
      '--kube-subnet-mgr',
      `--kubeconfig-file=${sharedFile(lab, `${id}.kubeconfig`, nodes.kubeconfig(`${host}:6443`))}`,
      `--kube-annotation-prefix=${id}.matrix.test`,
    ],
    admit: (name, number) => nodes.make(name, cidrs(number)),
    remove: (name) => nodes.remove(name),
    makeRoom: nothing,
  };
}
