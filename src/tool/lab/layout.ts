import fs, { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Address, address } from '../../net/address.ts';
import { makeDirectory } from '../../world/make-directory.ts';
import { namespacePath } from '../namespace.ts';
import { Refusal } from '../refusal.ts';

export type LabFamily = 'v4' | 'v6' | 'dual';

/** A lab as it was asked for: all names follow from it. */
export interface LabPlan {
  readonly name: string;
  readonly nodes: number;
  readonly family: LabFamily;
  readonly backend: string;
  /** On each node. */
  readonly pods: number;
}

export const defaultName = 'lab';

const root = '/run/flannelette-lab';

/** Where everything of a lab is, and what it is called. */
export class Layout {
  readonly plan: LabPlan;

  constructor(plan: LabPlan) {
    this.plan = plan;
  }

  get directory(): string {
    return path.join(root, this.plan.name);
  }

  get leases(): string {
    return path.join(this.directory, 'leases');
  }

  get netConfig(): string {
    return path.join(this.directory, 'net-conf.json');
  }

  get underlay(): string {
    return `fl-lab-${this.plan.name}`;
  }

  get nodes(): NodeLayout[] {
    return Array.from({ length: this.plan.nodes }, (_, i) => new NodeLayout(this, i + 1));
  }

  has(family: 4 | 6): boolean {
    return this.plan.family === 'dual' || this.plan.family === `v${family}`;
  }

  /** Throws a {@link Refusal} when there is such a lab already. */
  claim(): void {
    makeDirectory(fs, root, 0o700);
    try {
      mkdirSync(this.directory, { mode: 0o700 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      throw new Refusal(
        `there is a lab "${this.plan.name}" already: end it with "cni-tool lab down --name ${this.plan.name}", or choose another --name`,
      );
    }
    mkdirSync(this.leases);
    writeFileSync(path.join(this.directory, 'lab.json'), `${JSON.stringify(this.plan)}\n`);
    writeFileSync(this.netConfig, `${JSON.stringify(this.#configuration(), undefined, 2)}\n`);
  }

  #configuration(): object {
    return {
      ...(this.has(4) ? { Network: '10.244.0.0/16' } : { EnableIPv4: false }),
      ...(this.has(6) && { EnableIPv6: true, IPv6Network: 'fd00:10:244::/56' }),
      Backend: { Type: this.plan.backend },
    };
  }
}

/** One node of a lab. */
export class NodeLayout {
  readonly lab: Layout;
  readonly index: number;

  constructor(lab: Layout, index: number) {
    this.lab = lab;
    this.index = index;
  }

  get name(): string {
    return `node-${this.index}`;
  }

  get netns(): string {
    return `${this.lab.underlay}-${this.name}`;
  }

  get netnsPath(): string {
    return namespacePath(this.netns);
  }

  /** On the network between the nodes, out of the ranges for documentation. */
  get addresses(): { address: string; gateway: Address }[] {
    return [
      ...(this.lab.has(4) ? [{ address: `192.0.2.${this.index}/24`, gateway: address('192.0.2.254') }] : []),
      ...(this.lab.has(6)
        ? [{ address: `2001:db8::${this.index}/64`, gateway: address('2001:db8::fe') }]
        : []),
    ];
  }

  file(name: string): string {
    return path.join(this.lab.directory, this.name, name);
  }

  get socket(): string {
    return this.file('flanneld.sock');
  }

  pod(index: number): { name: string; netns: string; netnsPath: string } {
    const netns = `${this.netns}-pod-${index}`;
    return { name: `${this.name}/pod-${index}`, netns, netnsPath: namespacePath(netns) };
  }

  get pods(): ReturnType<NodeLayout['pod']>[] {
    return Array.from({ length: this.lab.plan.pods }, (_, i) => this.pod(i + 1));
  }
}

/** A lab that is up, or was not brought down. Throws a {@link Refusal} that names those there are. */
export function findLab(name: string): Layout {
  const file = path.join(root, name, 'lab.json');
  if (existsSync(file)) return new Layout(JSON.parse(readFileSync(file, 'utf8')) as LabPlan);
  const others = existsSync(root) ? readdirSync(root) : [];
  const hint =
    others.length === 0 ? 'start one with "cni-tool lab up"' : `there is ${others.join(', ')}: say --name`;
  throw new Refusal(`there is no lab "${name}": ${hint}`);
}

/** Names go into namespaces and paths. Throws a {@link Refusal}. */
export function checkLabName(name: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,19}$/.test(name)) return name;
  throw new Refusal(`--name ${JSON.stringify(name)}: use up to 20 lower-case letters, digits and hyphens`);
}
