import type { AttachmentPlan } from './attachment.ts';
import type { Step } from './attachment-step.ts';
import type { Sysctl } from './attachment-sysctls.ts';

export type Place = 'pod' | 'host';

/** A piece of what an ADD does to the kernel. Whoever may enter the pod does them in order, up to the first that fails. */
export type Task =
  | { readonly task: 'sysctl'; readonly sysctl: Sysctl }
  | { readonly task: 'steps'; readonly where: Place; readonly steps: readonly Step[] }
  /** Steps on a link that has no index before the task is done. */
  | {
      readonly task: 'stepsOn';
      readonly where: Place;
      readonly link: string;
      steps(ifindex: number): readonly Step[];
    };

/** The links; what only a sysctl can say, before there are addresses; then the pod's end. */
export function tasksOf(
  plan: AttachmentPlan,
  { host, pod }: { host: { name: string }; pod: { ifname: string } },
): Task[] {
  const inVlans = plan.port(0).length > 0;
  return [
    { task: 'steps', where: 'host', steps: plan.host },
    ...(inVlans ? [{ task: 'stepsOn', where: 'host', link: host.name, steps: plan.port } as const] : []),
    ...plan.sysctls.map((sysctl) => ({ task: 'sysctl', sysctl }) as const),
    { task: 'stepsOn', where: 'pod', link: pod.ifname, steps: plan.pod },
  ];
}

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
