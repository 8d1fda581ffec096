import { expect, test } from 'vitest';
import { metricsText } from '../../src/daemon/report/metrics.ts';
import type { Status } from '../../src/daemon/report/status.ts';
import type { Lease } from '../../src/lease/lease.ts';
import { prefix } from '../../src/net/prefix.ts';

const lease = {
  id: 'node-1',
  subnet: prefix('10.244.1.0/24'),
  ipv6Subnet: prefix('fd00:244:0:1::/64'),
} as Lease;

const well: Status = {
  version: '0.1.0',
  node: 'node-1',
  uptime: 1500,
  registry: { name: 'etcd' },
  interface: { name: 'eth0', mtu: 1500 },
  backend: 'vxlan',
  lease,
  peers: [lease, lease],
  refused: [],
  kernel: { wanted: 9, objects: 8, failed: [], foreign: ['x'], repairs: 4, lastAudit: 1_700_000_000_500 },
  addresses: [
    {
      network: 'cbr0',
      usage: [
        { used: 3, free: 250, total: 253 },
        { used: 2, free: 100, total: 102 },
      ],
    },
  ],
  waitingFor: [],
};

test('the status is there in numbers', () => {
  const lines = metricsText(well)
    .split('\n')
    .filter((line) => !line.startsWith('#'));
  expect(lines).toEqual([
    'flanneld_info{version="0.1.0",backend="vxlan"} 1',
    'flanneld_uptime_seconds 1.5',
    'flanneld_ready 1',
    'flanneld_registry_up 1',
    'flanneld_interface_up 1',
    'flanneld_peers 2',
    'flanneld_leases_refused 0',
    'flanneld_kernel_objects_wanted 9',
    'flanneld_kernel_objects 8',
    'flanneld_kernel_objects_failed 0',
    'flanneld_kernel_objects_foreign 1',
    'flanneld_kernel_repairs_total 4',
    'flanneld_kernel_last_audit_timestamp_seconds 1700000000.5',
    'flanneld_firewall_up 1',
    'flanneld_configuration_pending 0',
    'flanneld_pod_addresses_used{network="cbr0",subnet="10.244.1.0/24"} 3',
    'flanneld_pod_addresses_used{network="cbr0",subnet="fd00:244:0:1::/64"} 2',
    'flanneld_pod_addresses_free{network="cbr0",subnet="10.244.1.0/24"} 250',
    'flanneld_pod_addresses_free{network="cbr0",subnet="fd00:244:0:1::/64"} 100',
    '',
  ]);
});

test('what is wrong shows', () => {
  const text = metricsText({
    ...well,
    registry: { name: 'etcd', staleSince: '2026-01-01T00:00:00.000Z', why: 'no route' },
    interface: { name: 'eth0', mtu: 1500, lost: 'no default route' },
    refused: [{ id: 'node-9', why: 'overlaps' } as never],
    firewall: 'no iptables',
    configuration: 'MTU',
    wireguard: { userspace: false, handshakes: { a: 10, b: 500, c: null } },
    waitingFor: ['a lease'],
  });
  for (const line of [
    'flanneld_ready 0',
    'flanneld_registry_up 0',
    'flanneld_registry_stale_since_timestamp_seconds 1767225600',
    'flanneld_interface_up 0',
    'flanneld_leases_refused 1',
    'flanneld_firewall_up 0',
    'flanneld_configuration_pending 1',
    'flanneld_wireguard_sessions 1',
  ])
    expect(text).toContain(`${line}\n`);
  expect(text).not.toContain('node-9');
});

test('every metric has its help and its type before it, and names cannot break a line', () => {
  const text = metricsText({ ...well, backend: 'a"b\\c\nd' });
  expect(text).toContain('backend="a\\"b\\\\c\\nd"');
  const groups =
    /^(# HELP (\w+) .+\n# TYPE \2 (gauge|counter)\n(\2(\{\w+="(\\.|[^"\\])*"(,\w+="(\\.|[^"\\])*")*\})? -?[\d.]+\n)+)+$/;
  expect(text).toMatch(groups);
});
