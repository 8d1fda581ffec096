import type { Status } from './status.ts';

/** One value, perhaps with labels. */
type Sample = readonly [value: number | boolean, labels?: Readonly<Record<string, string>>];

/** A handshake is made at least this often while there is traffic, in seconds (Reject-After-Time, WireGuard's paper, section 6.1). */
const sessionLife = 180;

/**
 * The status in numbers, in the text format that Prometheus reads
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). No names of other nodes: whoever reaches the port may read it.
 */
export function metricsText(status: Status): string {
  const { kernel, registry, wireguard } = status;
  const subnets = [status.lease?.subnet, status.lease?.ipv6Subnet].filter((subnet) => subnet !== undefined);
  const addresses = status.addresses.flatMap(({ network, usage }) =>
    usage.map((each, i) => ({ ...each, labels: { network, subnet: subnets[i] ?? '' } })),
  );
  const handshakes = Object.values(wireguard?.handshakes ?? {});
  const young = handshakes.filter((age) => age !== null && age <= sessionLife).length;
  const stale = registry.staleSince === undefined ? undefined : Date.parse(registry.staleSince) / 1000;
  const { version, backend } = status;
  return [
    gauge('info', 'What runs.', [1, { version, backend }]),
    gauge('uptime_seconds', 'Since the start.', [status.uptime / 1000]),
    gauge('ready', 'Whether pods can be served.', [status.waitingFor.length === 0]),
    gauge('registry_up', 'Whether the registry answers.', [stale === undefined]),
    gauge('registry_stale_since_timestamp_seconds', 'When it answered last.', ...some(stale)),
    gauge('interface_up', 'Whether there is a way to other nodes.', [status.interface?.lost === undefined]),
    gauge('peers', 'Other nodes whose leases are in use.', [status.peers.length]),
    gauge('leases_refused', 'Leases that cannot be used.', [status.refused.length]),
    gauge('kernel_objects_wanted', 'Links, addresses, routes and so on.', [kernel.wanted]),
    gauge('kernel_objects', 'Those of them that are in place.', [kernel.objects]),
    gauge('kernel_objects_failed', 'Those that the kernel refuses.', [kernel.failed.length]),
    gauge('kernel_objects_foreign', 'What stands in their place and is not ours.', [kernel.foreign.length]),
    metric('counter', 'kernel_repairs_total', 'What was put back after others had changed it.', [
      [kernel.repairs],
    ]),
    gauge(
      'kernel_last_audit_timestamp_seconds',
      'When all was compared last.',
      ...some(kernel.lastAudit && kernel.lastAudit / 1000),
    ),
    gauge('firewall_up', 'Whether the node-wide rules are in place.', [status.firewall === undefined]),
    gauge('configuration_pending', 'Whether a restart would take another configuration.', [
      status.configuration !== undefined,
    ]),
    gauge(
      'pod_addresses_used',
      'Handed out.',
      ...addresses.map(({ used, labels }): Sample => [used, labels]),
    ),
    gauge('pod_addresses_free', 'To be had.', ...addresses.map(({ free, labels }): Sample => [free, labels])),
    gauge('wireguard_sessions', 'Peers with a young handshake.', ...some(wireguard && young)),
  ].join('');
}

const some = (value: number | undefined): Sample[] => (value === undefined ? [] : [[value]]);

const gauge = (name: string, help: string, ...samples: Sample[]): string =>
  metric('gauge', name, help, samples);

/** Nothing where there is no value. */
function metric(type: string, name: string, help: string, samples: readonly Sample[]): string {
  if (samples.length === 0) return '';
  const full = `flanneld_${name}`;
  const lines = samples.map(([value, labels]) => `${full}${labelsText(labels)} ${Number(value)}\n`);
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines.join('')}`;
}

function labelsText(labels: Readonly<Record<string, string>> = {}): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

const escaped = (value: string): string =>
  value.replace(/[\\"\n]/g, (letter) => (letter === '\n' ? '\\n' : `\\${letter}`));
