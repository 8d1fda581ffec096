import * as k from '../../netlink/constants.ts';
import { getAddresses } from '../../netlink/route/address.ts';
import type { Clock } from '../../world/clock.ts';
import { sleep } from '../../world/clock.ts';
import type { Session } from './link.ts';

/** As long as the reference waits, in milliseconds. */
const limit = 5000;
const interval = 50;

/**
 * With `enabledad`: waits until no IPv6 address of the link is tentative. Throws an Error when another
 * host has one of them, or when detection does not end.
 */
export async function settleAddresses(session: Session, ifindex: number, clock: Clock): Promise<void> {
  const deadline = clock.monotonic() + limit;
  for (;;) {
    const addresses = session.dump(getAddresses({ ifa_family: k.AF_INET6, ifa_index: ifindex }));
    const flagged = (flag: number) => addresses.find(({ IFA_FLAGS = 0 }) => (IFA_FLAGS & flag) !== 0);
    const failed = flagged(k.IFA_F_DADFAILED);
    if (failed !== undefined) throw new Error(`another host on the bridge has ${failed.IFA_ADDRESS} already`);
    const tentative = flagged(k.IFA_F_TENTATIVE);
    if (tentative === undefined) return;
    if (clock.monotonic() >= deadline) {
      throw new Error(`${tentative.IFA_ADDRESS} is still tentative after ${limit / 1000} s`);
    }
    await sleep(clock, interval);
  }
}
