/** Bit numbers of linux/capability.h. */
const CAP_NET_ADMIN = 12;

/** This process may not do its work: the message says what is missing and how to give it. */
export class CapabilityError extends Error {
  override readonly name = 'CapabilityError';
}

/**
 * Looks for CAP_NET_ADMIN, all that flanneld needs, in the text of /proc/self/status. Throws a
 * {@link CapabilityError} when it is not among the effective ones.
 */
export function requireCapabilities(status: string): void {
  const effective = /^CapEff:\s*([0-9a-fA-F]+)$/m.exec(status)?.[1];
  if (effective === undefined)
    throw new CapabilityError('/proc/self/status has no CapEff: is /proc mounted?');
  if ((BigInt(`0x${effective}`) & (1n << BigInt(CAP_NET_ADMIN))) !== 0n) return;
  throw new CapabilityError(
    'flanneld lacks the capability CAP_NET_ADMIN, without which it cannot make interfaces and routes. ' +
      'Run it as root, or give it: AmbientCapabilities=CAP_NET_ADMIN in a systemd unit, ' +
      'securityContext.capabilities.add: ["NET_ADMIN"] in a pod, --cap-add=NET_ADMIN in docker run',
  );
}
