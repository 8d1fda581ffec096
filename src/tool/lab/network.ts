import { closeSync, existsSync, openSync } from 'node:fs';
import type { Binding } from '../../../native/binding.ts';
import { type Address, familyOf } from '../../net/address.ts';
import { prefix, prefixAddress, prefixLength } from '../../net/prefix.ts';
import * as k from '../../netlink/constants.ts';
import { newAddress } from '../../netlink/route/address.ts';
import { delLink, getLink, newLink, setLink } from '../../netlink/route/link.ts';
import { newRoute } from '../../netlink/route/route.ts';
import { SyncSession } from '../../netlink/session.ts';
import { openSocket } from '../../netlink/socket.ts';
import { createNamespace } from '../namespace.ts';
import type { Layout, NodeLayout } from './layout.ts';

const up = { ifi_flags: k.IFF_UP, ifi_change: k.IFF_UP };

/** Calls `work` with a session inside a namespace. */
function inside<T>(binding: Binding, netns: string, work: (session: SyncSession, fd: number) => T): T {
  const fd = openSync(netns, 'r');
  const session = new SyncSession(openSocket(binding, { netnsFd: fd }));
  try {
    return work(session, fd);
  } finally {
    session.close();
    closeSync(fd);
  }
}

/** The switch between the nodes: a bridge in a namespace of its own, which is also the way out of the lab. */
export function layUnderlay(binding: Binding, lab: Layout): void {
  const netns = createNamespace(binding, lab.underlay);
  inside(binding, netns, (session) => {
    session.request(newLink({ ...up, IFLA_IFNAME: 'br0', IFLA_LINKINFO: { IFLA_INFO_KIND: 'bridge' } }));
    const index = indexOf(session, 'br0');
    if (lab.has(4)) addAddress(session, index, '192.0.2.254/24');
    if (lab.has(6)) addAddress(session, index, '2001:db8::fe/64');
  });
}

/** A node's namespace with eth0, plugged into the switch. */
export function plugNode(binding: Binding, node: NodeLayout): void {
  const netns = createNamespace(binding, node.netns);
  const fd = openSync(netns, 'r');
  try {
    inside(binding, `/run/netns/${node.lab.underlay}`, (session) => {
      session.request(
        newLink({
          ...up,
          IFLA_IFNAME: `port-${node.index}`,
          IFLA_MASTER: indexOf(session, 'br0'),
          IFLA_LINKINFO: {
            IFLA_INFO_KIND: 'veth',
            IFLA_INFO_DATA: { VETH_INFO_PEER: { IFLA_IFNAME: 'eth0', IFLA_NET_NS_FD: fd } },
          },
        }),
      );
    });
  } finally {
    closeSync(fd);
  }
  inside(binding, netns, (session) => {
    for (const name of ['lo', 'eth0']) session.request(setLink({ ...up, ifi_index: indexOf(session, name) }));
    const eth0 = indexOf(session, 'eth0');
    for (const { address, gateway } of node.addresses) {
      addAddress(session, eth0, address);
      session.request(defaultRoute(gateway, eth0));
    }
  });
}

/** wireguard-go lives as long as its device, longer than flanneld and the namespace's name. */
export function removeTunnels(binding: Binding, node: NodeLayout): void {
  if (!existsSync(node.netnsPath)) return;
  inside(binding, node.netnsPath, (session) => {
    session.batch(['flannel-wg', 'flannel-wg-v6'].map((name) => delLink({ IFLA_IFNAME: name })));
  });
}

/** Brings up the loopback of a pod's namespace, as the loopback plugin does. */
export function makePodNamespace(binding: Binding, name: string): string {
  const netns = createNamespace(binding, name);
  inside(binding, netns, (session) => session.request(setLink({ ...up, ifi_index: indexOf(session, 'lo') })));
  return netns;
}

function indexOf(session: SyncSession, name: string): number {
  return session.request(getLink({ IFLA_IFNAME: name }))[0]?.ifi_index ?? 0;
}

function addAddress(session: SyncSession, index: number, text: string): void {
  const address = prefix(text);
  const bare = prefixAddress(address);
  const ipv4 = familyOf(bare) === 4;
  session.request(
    newAddress({
      ifa_family: ipv4 ? k.AF_INET : k.AF_INET6,
      ifa_prefixlen: prefixLength(address),
      ifa_index: index,
      IFA_LOCAL: bare,
      IFA_ADDRESS: bare,
      ...(!ipv4 && { IFA_FLAGS: k.IFA_F_NODAD }),
    }),
  );
}

function defaultRoute(gateway: Address, oif: number) {
  return newRoute({
    rtm_family: familyOf(gateway) === 4 ? k.AF_INET : k.AF_INET6,
    rtm_table: k.RT_TABLE_MAIN,
    rtm_protocol: k.RTPROT_STATIC,
    rtm_type: k.RTN_UNICAST,
    RTA_GATEWAY: gateway,
    RTA_OIF: oif,
  });
}
