import * as k from '../netlink/constants.ts';

/** The multicast groups whose notifications a {@link file://./reconciler.ts Reconciler} must hear. */
export const groups: readonly number[] = [
  k.RTNLGRP_LINK,
  k.RTNLGRP_NEIGH,
  k.RTNLGRP_IPV4_IFADDR,
  k.RTNLGRP_IPV6_IFADDR,
  k.RTNLGRP_IPV4_ROUTE,
  k.RTNLGRP_IPV6_ROUTE,
];
