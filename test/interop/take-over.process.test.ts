import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../daemon/cluster.ts';
import { watch } from '../kernel/watch.ts';
import { goNode, goPeer } from './go-flannel.ts';
import { GoSite } from './go-site.ts';

describe.each([
  { backend: 'vxlan', directRouting: false, dualStack: false, registry: 'directory' },
  { backend: 'vxlan', directRouting: false, dualStack: true, registry: 'directory' },
  { backend: 'vxlan', directRouting: false, dualStack: true, registry: 'kubernetes' },
  { backend: 'vxlan', nftables: true, directRouting: false, dualStack: true, registry: 'directory' },
  { backend: 'vxlan', directRouting: true, dualStack: true, registry: 'directory' },
  { backend: 'host-gw', directRouting: false, dualStack: false, registry: 'kubernetes' },
  { backend: 'host-gw', directRouting: false, dualStack: true, registry: 'directory' },
] as const)('a node of Go flannel: %j', ({ registry, ...shape }) => {
  const { backend, directRouting, dualStack } = shape;
  const nftables = 'nftables' in shape;
  const hasTunnels = backend === 'vxlan' && !directRouting;
  let site: GoSite;
  beforeEach(async () => {
    site = await GoSite.start(shape, registry);
  });
  afterEach(() => site.stop());

  const none = () => site.families.flatMap(() => [0, 0]);
  const takeOver = async () => {
    await site.cluster.run(0, { args: ['--ip-masq'], keepSubnetFile: true });
    await until(async () => (await site.owners(0)).every((owner) => owner === '241'));
  };

  test('is taken over under traffic: nothing is lost, nothing changes but the owner of the routes', async () => {
    // An accept in nftables' own chain is no help against iptables' policy.
    if (!nftables)
      for (const program of ['iptables', 'ip6tables']) await site.run(0, `${program} -P FORWARD DROP`);
    const before = await site.identity(0);
    expect(await site.owners(0)).toEqual(site.families.map(() => 'boot'));
    expect(await site.lostDuring(takeOver)).toEqual(none());
    expect(await site.identity(0)).toEqual(before);
    expect(await site.leases(0)).toEqual(
      dualStack ? ['10.244.1.0/24', 'fd00:244:0:1::/64'] : ['10.244.1.0/24'],
    );
  });

  test('is given back under traffic: Go flannel finds what it left, makes nothing anew, and nothing is lost', async () => {
    const before = await site.identity(0);
    await takeOver();
    const lost = await site.lostDuring(async () => {
      expect(await site.cluster.end(0, 'SIGTERM')).toBe(0);
      await site.startGo(0);
    });
    expect(lost).toEqual(none());
    expect(await site.identity(0)).toEqual(before);
    // host-gw finds the route that it wants and leaves it alone.
    expect(await site.owners(0)).toEqual(site.families.map(() => (backend === 'vxlan' ? 'boot' : '241')));
    expect(await site.lostDuring(takeOver)).toEqual(none());
    expect(await site.identity(0)).toEqual(before);
  });

  test('what is left of a node that went while nobody ran goes, and what others made stays', async () => {
    const gone = goNode(3);
    for (const line of goPeer(site.shape, gone)) await site.run(0, line);
    const others = [
      'ip route add 198.51.100.0/24 via 192.0.2.254',
      'ip route add 10.244.99.0/24 via 192.0.2.254 proto static',
      'ip addr add 198.51.100.7/32 dev cni0',
      'ip neigh add 192.0.2.250 lladdr 02:00:00:00:00:fa dev eth0 nud permanent',
    ];
    for (const line of others) await site.run(0, line);
    const shown = async () =>
      (
        await Promise.all(
          ['ip route', 'ip -6 route', 'ip neigh', 'bridge fdb', 'ip addr'].map((line) =>
            site.run(0, `${line} show`),
          ),
        )
      ).join();
    const traces = [gone.subnet, gone.ipv6Subnet, `${gone.base} `, gone.mac, gone.ipv6Mac];
    const left = async () => {
      const text = await shown();
      return traces.filter((trace) => text.includes(trace));
    };
    expect(await left()).not.toEqual([]);
    await takeOver();
    // A boot route to a router's address could be anybody's: only a lease tells that it is Go flannel's.
    const unknowable = dualStack ? [gone.subnet, gone.ipv6Subnet] : [gone.subnet];
    await until(async () => (await left()).join() === (hasTunnels ? '' : unknowable.join()));
    const text = await shown();
    for (const other of [
      '198.51.100.0/24 via',
      '10.244.99.0/24 via',
      '198.51.100.7/32',
      '02:00:00:00:00:fa',
    ]) {
      expect(text).toContain(other);
    }
  });

  test('a dry run tells what a start would change, and changes nothing', async () => {
    const [before, leases] = [await site.identity(0), site.files()];
    const heard = watch(site.node(0).name, ['ip', 'monitor', 'link', 'address', 'route']);
    await heard.ready;
    const { status, stdout } = site.dryRun(0);
    expect(status).toBe(0);
    // Some link-local address may still be on its way.
    expect((await heard.stop()).split('\n').filter((line) => /10\.244|fd00|192\.0\.2/.test(line))).toEqual(
      [],
    );
    expect([await site.identity(0), site.files()]).toEqual([before, leases]);
    const ways = hasTunnels
      ? [
          ['via 10.244.2.0 dev flannel.1 onlink', 'via 10.244.2.0 dev flannel.1 proto boot onlink'],
          [
            'via fd00:244:0:2:: dev flannel-v6.1 onlink',
            'via fd00:244:0:2:: dev flannel-v6.1 proto boot onlink',
          ],
        ]
      : ['192.0.2.2', '2001:db8::2'].map((peer) => [
          `via ${peer}${directRouting ? '' : ' dev eth0'}`,
          `via ${peer} dev eth0 proto boot`,
        ]);
    const replaced = ['10.244.2.0/24', 'fd00:244:0:2::/64'].map(
      (subnet, i) => `  replace route ${subnet} ${ways[i]?.[0]}, was route ${subnet} ${ways[i]?.[1]}`,
    );
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^This node would have the subnet 10\.244\.1\.0\/24.* on eth0\.$/),
      'In the kernel it would:',
      ...replaced.slice(0, site.families.length),
      expect.stringMatching(/^It would leave .*0\.env as it is\.$/),
      // Two of Go flannel's nftables rules mean something else than its iptables rules; ours do not.
      ...(nftables
        ? [
            'It would write firewall rules:',
            '  nftables: table flannel-ipv4',
            '  nftables: table flannel-ipv6',
          ]
        : ['It would leave the firewall rules as they are.']),
      'Nothing has been changed.',
      '',
    ]);
  });
});
