import { getSystemErrorMap } from 'node:util';
import { CniError, cniCodes } from '../error.ts';
import type { Session } from './link.ts';
import type { Caller } from '../world.ts';

/** The pod's namespace for a verb that cannot do without it. Throws a CniError that says what CNI_NETNS is instead. */
export function openPod(caller: Caller, netns: string): { fdOfCaller: number; session: Session } {
  const { pod } = caller;
  refuseOwnNamespace(caller);
  switch (pod.state) {
    case 'open':
      return pod;
    case 'absent':
      throw new CniError(cniCodes.badEnvironment, 'required env variables [CNI_NETNS] missing');
    case 'missing':
      throw new CniError(cniCodes.unknownContainer, `failed to open netns "${netns}": there is no such file`);
    case 'foreign':
      throw new CniError(cniCodes.badNetns, `failed to open netns "${netns}": it is no network namespace`);
    case 'error':
      throw new CniError(cniCodes.badNetns, `failed to open netns "${netns}": ${errnoText(pod.errno)}`);
  }
}

/** Throws a CniError when CNI_NETNS is the node's own namespace: nothing there is ours to change. */
export function refuseOwnNamespace({ podIsOwn }: Caller): void {
  if (podIsOwn)
    throw new CniError(cniCodes.badNetns, "plugin's netns and netns from CNI_NETNS should not be the same");
}

const errnoText = (errno: number): string => getSystemErrorMap().get(-errno)?.[1] ?? `errno ${errno}`;
