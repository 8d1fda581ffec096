import { constants as os } from 'node:os';
import { describe, expect, test } from 'vitest';
import { explain } from '../../src/kernel/explain.ts';
import { type KernelObject, keyOf, type Link, type VxlanInfo } from '../../src/kernel/object.ts';
import { NoSuchLink } from '../../src/kernel/link-names.ts';
import { address } from '../../src/net/address.ts';
import { prefix } from '../../src/net/prefix.ts';
import { NetlinkError } from '../../src/netlink/error.ts';

const info: VxlanInfo = {
  kind: 'vxlan',
  vni: 1,
  lower: 'eth0',
  local: address('192.0.2.1'),
  port: 8472,
  learning: false,
  gbp: false,
};
const device: Link = { kind: 'link', name: 'flannel.1', mtu: 1450, info };
const device6: Link = {
  ...device,
  name: 'flannel-v6.1',
  info: { ...info, local: address('2001:db8::1') },
};
const route6: KernelObject = {
  kind: 'route',
  destination: prefix('fd00::/64'),
  metric: 1024,
  gateway: address('fd00::'),
  link: 'flannel-v6.1',
  onlink: true,
  protocol: 241,
};
const address6: KernelObject = { kind: 'address', link: 'flannel-v6.1', address: prefix('fd00::/128') };

describe('a refusal is a sentence with its cause and what mends it', () => {
  test.each<[string, KernelObject, number, RegExp]>([
    [
      'a missing module',
      device,
      os.errno.EOPNOTSUPP,
      /no vxlan module: try "modprobe vxlan".*linux-modules-extra-raspi/,
    ],
    [
      'a VNI that is taken',
      device,
      os.errno.EEXIST,
      /VNI 1 and port 8472: find it with "ip -d link show type vxlan"/,
    ],
    ['a port that is taken', device, os.errno.EADDRINUSE, /UDP port 8472: find it with "ss -lunp"/],
    ['IPv6 off below', device6, os.errno.EADDRNOTAVAIL, /"sysctl net\.ipv6\.conf\.eth0\.disable_ipv6"/],
    ['IPv6 off', address6, os.errno.EACCES, /"sysctl net\.ipv6\.conf\.flannel-v6\.1\.disable_ipv6"/],
    ['no right', device, os.errno.EPERM, /CAP_NET_ADMIN/],
    [
      'a gateway led astray',
      route6,
      os.errno.EINVAL,
      /leads to another device: see "ip -6 route get fd00::"/,
    ],
    ['a link that is down', route6, os.errno.ENETDOWN, /the link flannel-v6\.1 is down/],
  ])('%s', (_what, object, errno, cause) => {
    const operation = { key: keyOf(object), verb: 'add', object } as const;
    const sentence = explain(operation, new NetlinkError('RTM_NEWLINK', errno, { kernelSays: 'Its words' }));
    expect(sentence).toMatch(/^cannot add (link|address|route) .*: the kernel says E[A-Z]+, "Its words"; /);
    expect(sentence).toMatch(cause);
  });

  test('a link that is not there', () => {
    const operation = { key: keyOf(device), verb: 'add', object: device } as const;
    expect(explain(operation, new NoSuchLink('eth0'))).toMatch(/: there is no link eth0; it is tried again/);
  });
});
