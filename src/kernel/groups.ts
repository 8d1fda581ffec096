import * as k from '../netlink/constants.ts';

/** The multicast groups whose announcements a {@link file://./reconciler.ts Reconciler} must hear; all others hear enough by them. */
export const groups: readonly number[] = [
  k.RTNLGRP_LINK,
  k.RTNLGRP_NEIGH,
  k.RTNLGRP_IPV4_IFADDR,
  k.RTNLGRP_IPV6_IFADDR,
  k.RTNLGRP_IPV4_ROUTE,
  k.RTNLGRP_IPV6_ROUTE,
];

/** Linux 5.3. */
export const newerGroups: readonly number[] = [k.RTNLGRP_NEXTHOP];
