import type { Step } from './attachment-step.ts';
import type { Sysctl } from './attachment-sysctls.ts';

/** The last part of an ADD: what is written and sent inside the pod's namespace, sysctls before steps. */
export interface PodSetup {
  readonly sysctls: readonly Sysctl[];
  readonly steps: readonly Step[];
}

/** A sysctl without which the attachment would not work could not be written. */
export class SysctlError extends Error {
  override readonly name = 'SysctlError';
  readonly sysctl: Sysctl;
  readonly errno: number;

  constructor(sysctl: Sysctl, errno: number) {
    super(`/proc/sys/${sysctl.path}: errno ${errno}`);
    this.sysctl = sysctl;
    this.errno = errno;
  }
}

/** Outcomes in order: 0 or a positive errno. Throws a {@link SysctlError} for the first one that is required. */
export function checkSysctls(sysctls: readonly Sysctl[], outcomes: readonly number[]): void {
  for (const [i, sysctl] of sysctls.entries()) {
    const errno = outcomes[i] ?? 0;
    if (errno !== 0 && sysctl.required) throw new SysctlError(sysctl, errno);
  }
}
