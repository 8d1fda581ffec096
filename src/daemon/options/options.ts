import { defaultPrefix } from '../../lease/kubernetes/annotations.ts';
import { type Address, familyOf, type Family, parseAddress } from '../../net/address.ts';
import { networkOf, parsePrefix, type Prefix } from '../../net/prefix.ts';
import { goRegExp } from './go-regexp.ts';
import { goBoolean, goInteger, UsageError } from './go-flags.ts';
import { nearest } from './spelling.ts';

/** One option: what the command line, the environment, the help and the reference page need to know of it. */
export interface Option<T> {
  readonly initial: T;
  /** A boolean stands alone on the command line. */
  readonly takes: 'boolean' | 'value';
  /** For the help: what stands for the value. Empty for booleans. */
  readonly placeholder: string;
  readonly help: string;
  /** Other spellings of the flag: K3s's. */
  readonly aliases?: readonly string[];
  /** What of its value may be shown, if not all. */
  shown?(value: T): unknown;
  /** Environment variables of other programs that mean the same as FLANNELD_<FLAG>. */
  readonly variables?: readonly string[];
  /** The value after `text` was given on top of `before`; a string says what `text` should have been. */
  take(text: string, before: T): { value: T } | string;
}

function text(placeholder: string, initial: string, help: string): Option<string> {
  return { initial, takes: 'value', placeholder, help, take: (value: string) => ({ value }) };
}

/** An empty one is what a script makes of a variable that is not set. */
function place(placeholder: string, initial: string, help: string): Option<string> {
  const take = (value: string) => (value === '' ? 'no place: name one, or leave it out' : { value });
  return { ...text(placeholder, initial, help), take };
}

function urls(placeholder: string, initial: string, help: string): Option<string> {
  return { ...text(placeholder, initial, help), shown: withoutPassword };
}

/** For Go flannel's sake: its meaning are Go's source files. */
function unused(placeholder: string, form: RegExp): Option<string> {
  const take = (value: string) => (form.test(value) ? { value } : `not of the form ${placeholder}`);
  const help = "Accepted for Go flannel's sake, without effect: it names files of its source.";
  return { initial: '', takes: 'value', placeholder, help, take };
}

/** An empty one is none: scripts write --iface=$IFACE. */
function repeated(placeholder: string, help: string): Option<readonly string[]> {
  const take = (value: string, before: readonly string[]) => ({
    value: value === '' ? before : [...before, value],
  });
  return { initial: [], takes: 'value', placeholder, help, take };
}

function integer(initial: number, [min, max]: readonly [number, number], help: string): Option<number> {
  const take = (given: string) => {
    const value = goInteger(given);
    return value === undefined || value < min || value > max
      ? `not a whole number from ${min} to ${max}`
      : { value };
  };
  return { initial, takes: 'value', placeholder: 'N', help, take };
}

function boolean(help: string, initial = false): Option<boolean> {
  const take = (given: string) => {
    const value = goBoolean(given);
    return value === undefined ? 'neither true nor false' : { value };
  };
  return { initial, takes: 'boolean', placeholder: '', help, take };
}

function ip(family: Family | undefined, help: string): Option<Address | undefined> {
  const take = (given: string) => {
    if (given === '') return { value: undefined };
    const value = parseAddress(given);
    const right = value !== undefined && (family === undefined || familyOf(value) === family);
    return right ? { value } : `not an ${family === undefined ? 'IP' : `IPv${family}`} address`;
  };
  return { initial: undefined, takes: 'value', placeholder: 'ADDRESS', help, take };
}

/** A list, separated by commas or given in several flags. `read` answers undefined for what is no `what`. */
function list<T>(
  placeholder: string,
  [what, read]: readonly [string, (text: string) => T | undefined],
  help: string,
): Option<readonly T[]> {
  const take = (given: string, before: readonly T[]) => {
    if (given === '') return { value: before };
    const values = given.split(',').map((part) => read(part.trim()));
    const known = values.filter((value) => value !== undefined);
    return known.length === values.length ? { value: [...before, ...known] } : what;
  };
  return { initial: [], takes: 'value', placeholder, help, take };
}

/** All addresses where it is empty. What has no colon may be a host's name, what has one must be an address, perhaps with a zone. */
const canListenAt = (given: string): boolean =>
  !given.includes(':') || parseAddress(given.replace(/%[^%/\s]+$/, '')) !== undefined;

const addresses = ['not a list of IP addresses', parseAddress] as const;
const ranges = [
  'not a list of address ranges such as 10.42.0.0/16',
  (given: string): Prefix | undefined => {
    const range = parsePrefix(given);
    return range && networkOf(range);
  },
] as const;

/** All of them, in the order in which they are shown. */
export const options = {
  config: text(
    'FILE',
    '',
    'A YAML file of options, as K3s reads its config.yaml: flags without their dashes as keys. Flags and environment variables go before it.',
  ),
  'net-config-path': {
    ...text('FILE', '/etc/kube-flannel/net-conf.json', 'The network configuration.'),
    aliases: ['flannel-conf'],
  },
  'lease-dir': place(
    'DIRECTORY',
    '',
    'Where the nodes keep their leases, one JSON file a node: a directory that all of them share.',
  ),
  'etcd-endpoints': urls(
    'URL,...',
    'http://127.0.0.1:4001,http://127.0.0.1:2379',
    'The members of the etcd in which the nodes keep their leases, and which has the network configuration: the registry if no other is named.',
  ),
  'etcd-prefix': text('PREFIX', '/coreos.com/network', 'Where flannel has its keys in etcd.'),
  'etcd-cafile': text('FILE', '', "The authorities that etcd's certificate may come from, as PEM."),
  'etcd-certfile': text('FILE', '', 'The certificate with which this node comes to etcd, as PEM.'),
  'etcd-keyfile': text('FILE', '', 'The key of that certificate.'),
  'etcd-username': text('NAME', '', 'The user as whom this node comes to etcd.'),
  'etcd-password': {
    ...text(
      'PASSWORD',
      '',
      'The password of that user. Better given by the environment: everybody on the node sees command lines.',
    ),
    shown: () => '(secret)',
  },
  'subnet-lease-renew-margin': integer(
    60,
    [1, 1439],
    'How many minutes before its end a lease in etcd is renewed; it lasts a day.',
  ),
  'kube-subnet-mgr': boolean(
    "Keep the leases in the Nodes of a Kubernetes cluster: a node's subnet is the podCIDR that it has there.",
  ),
  'kube-api-url': urls(
    'URL',
    '',
    "The API server, in place of the kubeconfig's. Without a kubeconfig flanneld proves nobody to it.",
  ),
  'kubeconfig-file': text(
    'FILE',
    '',
    'How to get at the API server, in the manner of kubectl. Without it, as Kubernetes tells the pods that run in it.',
  ),
  'kube-annotation-prefix': text(
    'PREFIX',
    defaultPrefix,
    "What the names of the Nodes' annotations begin with; the same on all nodes.",
  ),
  'set-node-network-unavailable': boolean(
    'Clear the condition NetworkUnavailable of this node when its network is up, with --kube-subnet-mgr.',
    true,
  ),
  'node-name': {
    ...text('NAME', '', "This node's name in the cluster, in lower case; without it, the host name."),
    take: (given: string) => ({ value: given.toLowerCase() }),
    variables: ['NODE_NAME', 'K3S_NODE_NAME'],
  },
  iface: {
    ...repeated(
      'NAME|ADDRESS',
      'The interface for traffic between nodes, by name or by one of its addresses. May be given several times: the first that exists is taken. Without it, the interface of the default route.',
    ),
    aliases: ['flannel-iface'],
  },
  'iface-regex': {
    ...repeated(
      'REGEX',
      'The same by a regular expression, for an address or else for a name. May be given several times; looked at when no --iface fits.',
    ),
    take: (given: string, before: readonly string[]) => {
      if (given === '') return { value: before };
      return goRegExp(given) === undefined ? 'no regular expression' : { value: [...before, given] };
    },
  },
  'iface-can-reach': ip(undefined, 'The same by an address to which it is the way; looked at last.'),
  'public-ip': ip(
    4,
    'The IPv4 address at which the other nodes reach this one, if not the address of the interface.',
  ),
  'public-ipv6': ip(6, 'The same for IPv6.'),
  'ip-masq': boolean(
    'Hide the pods behind the address of their node when they talk to anything outside the flannel network.',
  ),
  'ipv6-masq': {
    ...boolean(
      'With --ip-masq: IPv6 too. false leaves IPv6 addresses of pods as they are, as K3s does unless it is told otherwise.',
      true,
    ),
    aliases: ['flannel-ipv6-masq'],
  },
  'ip-masq-fully-random-disable': boolean(
    'Leave the source ports of hidden connections as they are, if possible.',
  ),
  'iptables-forward-rules': boolean(
    'Let traffic from and to the flannel network pass where the firewall forwards nothing by default.',
    true,
  ),
  'iptables-resync': integer(
    5,
    [0, 2 ** 31 - 1],
    "Accepted for Go flannel's sake: changed rules are mended when the kernel announces the change.",
  ),
  'manage-accept-ra': boolean(
    'Let the kernel listen to router advertisements although the node forwards IPv6 (accept_ra=2), so that an IPv6 default route that came from them stays.',
  ),
  'ip-blackhole-route': boolean(
    "Drop what is sent to this node's subnet and belongs to no pod, where no bridge has a route to it (Canal).",
  ),
  'nexthop-objects': boolean(
    'Make the IPv4 routes to other nodes by next-hop objects, which thousands of nodes are quicker with. Go flannel cannot remove these: a clean stop turns them back into plain routes.',
  ),
  'flannel-backend': text(
    'NAME',
    '',
    "K3s's name for the backend: vxlan, host-gw, wireguard-native or none. In net-conf.json: Backend.Type.",
  ),
  'flannel-external-ip': boolean(
    'Tell the other nodes the addresses of --node-external-ip instead of those of the interface.',
  ),
  'flannel-cni-conf': text(
    'FILE',
    '',
    'A list of CNI plugins to install as 10-flannel.conflist when pods can be served; without it none is.',
  ),
  'cni-conf-dir': text('DIRECTORY', '/etc/cni/net.d', 'Where the container runtime looks for that list.'),
  'cluster-cidr': list(
    'RANGE,...',
    ranges,
    'The addresses of all pods: one range, or one of each family. In net-conf.json: Network and IPv6Network.',
  ),
  'service-cidr': list(
    'RANGE,...',
    ranges,
    'The addresses of services, to see that they do not overlap with others.',
  ),
  'kube-controller-manager-arg': repeated(
    'NAME=VALUE',
    "What K3s gives to kube-controller-manager: of it node-cidr-mask-size, -ipv4 and -ipv6 are looked at, the length of the nodes' subnets.",
  ),
  'node-ip': list(
    'ADDRESS,...',
    addresses,
    "This node's own addresses, one of each family. Without --iface they choose the interface; of its addresses they are taken.",
  ),
  'node-external-ip': list(
    'ADDRESS,...',
    addresses,
    'The addresses at which this node is reached from elsewhere: see --flannel-external-ip.',
  ),
  'subnet-file': place('FILE', '/run/flannel/subnet.env', 'Where to write what CNI plugins need to know.'),
  'state-dir': place(
    'DIRECTORY',
    '/var/lib/flannelette',
    'Where the last known leases are kept for a start without the registry.',
  ),
  socket: place(
    'FILE',
    '/run/flannel/flanneld.sock',
    'The socket on which the CNI plugin finds this daemon.',
  ),
  'healthz-ip': {
    ...text('ADDRESS', '0.0.0.0', 'The address for /healthz, /readyz and /metrics.'),
    take: (given: string) => (canListenAt(given) ? { value: given } : 'not an IP address'),
  },
  'healthz-port': integer(0, [0, 65_535], 'The TCP port for /healthz, /readyz and /metrics; 0: none.'),
  'adopt-dry-run': boolean(
    'Print what a start would change on this node, change nothing, and exit. For a take-over from Go flannel.',
  ),
  v: integer(0, [-(2 ** 31), 2 ** 31 - 1], 'How much to log: 0 what matters, 1 and more everything.'),
  vmodule: unused('PATTERN=N,...', /^([^=,]+=[+-]?\d+(,|$))*$/),
  log_backtrace_at: unused('FILE:N', /^(\S+:\d+)?$/),
  version: boolean('Print the version and exit.'),
};

export type OptionName = keyof typeof options;
export type Options = {
  readonly [Name in OptionName]: (typeof options)[Name] extends Option<infer T> ? T : never;
};

/** For the log: what was given, by its flag, variable or key; without what is secret. */
export const shownOptions = (
  given: Options,
  sources: ReadonlyMap<OptionName, string>,
): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    [...sources].map(([name, source]) => {
      const { shown = (value) => value }: Option<unknown> = options[name];
      return [source, shown(given[name])];
    }),
  );

/** A URL, or several, with or without a scheme, to be shown: somebody's password may stand before the last @. */
export function withoutPassword(text: string): string {
  return text.replace(/^(\w+:\/\/)?.*@/s, '$1...@');
}

/** Every way to write a flag, and the option that it means. */
const spellings: ReadonlyMap<string, OptionName> = new Map(
  Object.entries(options).flatMap(([name, { aliases = [] }]: [string, Option<unknown>]) =>
    [name, ...aliases].map((spelling) => [spelling, name as OptionName] as const),
  ),
);

/** The option of that name or alias. */
export const optionOf = (spelling: string): OptionName | undefined => spellings.get(spelling);

/** The environment variable of a flag. */
export const variableOf = (flag: string): string =>
  `FLANNELD_${flag.toUpperCase().replaceAll('-', '_').replaceAll('.', '_')}`;

/** What an unknown flag gets to hear. */
export function unknownFlag(name: string): UsageError {
  const near = nearestFlag(name, Math.max(1, Math.floor(name.length / 3)));
  const hint = near === undefined ? 'see flanneld --help' : `did you mean --${near}? See flanneld --help`;
  return new UsageError(`there is no flag --${name}; ${hint}`);
}

/** The flag with the fewest letters to change; undefined when none has as few as `limit`. */
export const nearestFlag = (name: string, limit: number): string | undefined =>
  nearest(name, spellings.keys(), limit);
