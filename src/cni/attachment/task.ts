import type { AddressPlan, PortPlan } from './attachment.ts';
import type { Step } from './step.ts';
import type { Sysctl } from './sysctls.ts';

export type Place = 'pod' | 'host';

/** A piece of what an ADD does to the kernel. Whoever may enter the pod does them in order, up to the first that fails. */
export type Task =
  | { readonly task: 'sysctl'; readonly sysctl: Sysctl }
  /** The same only where the value is `before`, and a gain, no more: who does the tasks may leave it. One for an attachment. */
  | { readonly task: 'exchange'; readonly sysctl: Sysctl; readonly before: string }
  | { readonly task: 'steps'; readonly where: Place; readonly steps: readonly Step[] }
  /** Steps on a link that has no index before the task is done. */
  | {
      readonly task: 'stepsOn';
      readonly where: Place;
      readonly link: string;
      steps(ifindex: number): readonly Step[];
    };

export const hostTasks = (steps: readonly Step[]): Task[] => [{ task: 'steps', where: 'host', steps }];

interface Ends {
  readonly host: { readonly name: string };
  readonly pod: { readonly ifname: string };
}

/** Both ends of the pair up to where only addresses are missing, with what only a sysctl can say. */
export function portTasks(plan: PortPlan, { host, pod }: Ends): Task[] {
  const sysctls = (where: Place) =>
    plan.sysctls
      .filter((sysctl) => sysctl.where === where)
      .map((sysctl) => ({ task: 'sysctl', sysctl }) as const);
  const inVlans = plan.vlans(0).length > 0;
  return [
    ...sysctls('host'),
    { task: 'steps', where: 'host', steps: plan.port },
    ...(inVlans ? [{ task: 'stepsOn', where: 'host', link: host.name, steps: plan.vlans } as const] : []),
    ...sysctls('pod'),
    ...plan.exchanges.map((exchange) => ({ task: 'exchange', ...exchange }) as const),
    { task: 'stepsOn', where: 'pod', link: pod.ifname, steps: plan.pod },
  ];
}

/** What comes when the addresses are known. */
export const addressTasks = (plan: AddressPlan, { ifname }: Ends['pod']): Task[] => [
  { task: 'steps', where: 'host', steps: plan.host },
  { task: 'stepsOn', where: 'pod', link: ifname, steps: plan.pod },
];

/** A sysctl without which the attachment would not work could not be written. */
export class SysctlError extends Error {
  override readonly name = 'SysctlError';
  readonly sysctl: Sysctl;
  /** Positive. */
  readonly errno: number;

  constructor(sysctl: Sysctl, errno: number) {
    super(`/proc/sys/${sysctl.path}: errno ${errno}`);
    this.sysctl = sysctl;
    this.errno = errno;
  }
}

/** A link that had just been made is not there. */
export const vanished = (link: string): Error => new Error(`the link ${link} vanished while it was set up`);
