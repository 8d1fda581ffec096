import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { configurationFile, readCommand, type Setting } from '../../src/daemon/options/configuration.ts';
import { UsageError } from '../../src/daemon/options/go-flags.ts';
import { helpText } from '../../src/daemon/options/help.ts';
import { optionOf, options, variableOf } from '../../src/daemon/options/options.ts';
import { optionsTable } from '../kit/options-table.ts';

function optionsOf(args: string[], environment: Record<string, string> = {}) {
  const command = readCommand(args, environment);
  if (command.does !== 'run') throw new Error(`it only wants to show ${command.does}`);
  return command.options;
}

describe('the options', () => {
  test('have flannel’s defaults', () => {
    expect(optionsOf([])).toEqual({
      config: '',
      'net-config-path': '/etc/kube-flannel/net-conf.json',
      'lease-dir': '',
      'etcd-endpoints': 'http://127.0.0.1:4001,http://127.0.0.1:2379',
      'etcd-prefix': '/coreos.com/network',
      'etcd-cafile': '',
      'etcd-certfile': '',
      'etcd-keyfile': '',
      'etcd-username': '',
      'etcd-password': '',
      'subnet-lease-renew-margin': 60,
      'kube-subnet-mgr': false,
      'kube-api-url': '',
      'kubeconfig-file': '',
      'kube-annotation-prefix': 'flannel.alpha.coreos.com',
      'set-node-network-unavailable': true,
      'node-name': '',
      iface: [],
      'iface-regex': [],
      'iface-can-reach': undefined,
      'public-ip': undefined,
      'public-ipv6': undefined,
      'flannel-backend': '',
      'flannel-external-ip': false,
      'flannel-cni-conf': '',
      'cni-conf-dir': '/etc/cni/net.d',
      'cluster-cidr': [],
      'service-cidr': [],
      'kube-controller-manager-arg': [],
      'node-ip': [],
      'node-external-ip': [],
      'subnet-file': '/run/flannel/subnet.env',
      'state-dir': '/var/lib/flannelette',
      socket: '/run/flannel/flanneld.sock',
      'healthz-ip': '0.0.0.0',
      'healthz-port': 0,
      'ip-masq': false,
      'ipv6-masq': true,
      'ip-masq-fully-random-disable': false,
      'iptables-forward-rules': true,
      'iptables-resync': 5,
      'ip-blackhole-route': false,
      'nexthop-objects': false,
      'adopt-dry-run': false,
      'manage-accept-ra': false,
      v: 0,
      vmodule: '',
      log_backtrace_at: '',
      version: false,
    });
  });

  test('--iface adds up, of all others the last counts', () => {
    const given = optionsOf(['--iface=eth0', '--healthz-port=1', '-iface', '10.0.0.1', '--healthz-port=2']);
    expect(given.iface).toEqual(['eth0', '10.0.0.1']);
    expect(given['healthz-port']).toBe(2);
  });

  test('come from the environment when they are not on the command line', () => {
    const environment = {
      FLANNELD_SUBNET_FILE: '/a',
      FLANNELD_IFACE: 'eth0,eth1',
      FLANNELD_PUBLIC_IPV6: 'FD00::0:1',
      FLANNELD_V: '',
      FLANNELD_UNHEARD_OF: '1',
    };
    const given = optionsOf(['--public-ip=10.0.0.9'], { ...environment, FLANNELD_PUBLIC_IP: '10.0.0.1' });
    expect(given['subnet-file']).toBe('/a');
    expect(given.iface).toEqual(['eth0,eth1']);
    expect(given['public-ipv6']).toBe('fd00::1');
    expect(given['public-ip']).toBe('10.0.0.9');
    expect(given.v).toBe(0);
  });

  test.each(['iface', 'iface-regex', 'node-ip', 'cluster-cidr'] as const)(
    'an empty --%s is nothing, and hides the environment',
    (name) => {
      expect(optionsOf([`--${name}=`], { [variableOf(name)]: '10.0.0.1/8' })[name]).toEqual([]);
    },
  );

  test('an empty flag is given, and hides the environment', () => {
    expect(optionsOf(['--node-name='], { NODE_NAME: 'node-1' })['node-name']).toBe('');
  });

  test.each([
    [['--node-name=a'], { FLANNELD_NODE_NAME: 'b', K3S_NODE_NAME: 'c' }, 'a'],
    [[], { FLANNELD_NODE_NAME: 'b' }, 'b'],
    [[], { NODE_NAME: 'c' }, 'c'],
    [[], { K3S_NODE_NAME: 'PI-4' }, 'pi-4'],
    [[], { FLANNELD_NODE_NAME: 'Node-1', NODE_NAME: 'node-1', K3S_NODE_NAME: 'NODE-1' }, 'node-1'],
  ])('--node-name: %j %j is %s', (args, environment, name) => {
    expect(optionsOf(args, environment as Record<string, string>)['node-name']).toBe(name);
  });

  test('--version wins before the environment is looked at', () => {
    expect(readCommand(['--version'], { FLANNELD_HEALTHZ_PORT: 'x' })).toEqual({ does: 'version' });
    expect(readCommand(['--version=false'], {}).does).toBe('run');
  });

  test('arguments after the flags are handed on, to be warned of', () => {
    expect(readCommand(['--v=1', 'x', '--v=2'], {})).toMatchObject({
      options: { v: 1 },
      ignored: ['x', '--v=2'],
    });
  });
});

const setting = (key: string, ...texts: string[]): Setting => ({ key, texts, where: 'c.yaml:1' });

describe('an option is taken from the first level that has it:', () => {
  const args = ['--flannel-backend=vxlan'];
  const environment = { FLANNELD_FLANNEL_BACKEND: 'host-gw' };
  const settings = [setting('flannel-backend', 'none')];

  test.each([
    ['the command line', args, environment, settings, 'vxlan', '--flannel-backend'],
    ['the environment', [], environment, settings, 'host-gw', 'FLANNELD_FLANNEL_BACKEND'],
    ['the configuration file', [], {}, settings, 'none', 'c.yaml:1: flannel-backend'],
  ])('%s', (_level, onLine, variables, inFile, backend, source) => {
    const command = readCommand(onLine, variables, inFile);
    if (command.does !== 'run') throw new Error(command.does);
    expect([command.options['flannel-backend'], command.sources.get('flannel-backend')]).toEqual([
      backend,
      source,
    ]);
  });

  test('a list is not continued on the next level', () => {
    const given = readCommand(['--iface=eth0'], {}, [setting('flannel-iface', 'eth1')]);
    expect(given).toMatchObject({ options: { iface: ['eth0'] } });
  });
});

describe('K3s’s spellings', () => {
  test.each([
    [['--flannel-iface=eth1'], { iface: ['eth1'] }],
    [['--flannel-conf=/x.json'], { 'net-config-path': '/x.json' }],
    [
      ['--cluster-cidr=10.42.0.9/16,2001:CAFE:42::/56'],
      { 'cluster-cidr': ['10.42.0.0/16', '2001:cafe:42::/56'] },
    ],
    [
      ['--service-cidr=10.43.0.0/16', '--service-cidr', 'fd00:43::/112'],
      { 'service-cidr': ['10.43.0.0/16', 'fd00:43::/112'] },
    ],
    [['--node-ip=10.0.0.1, fd00::1'], { 'node-ip': ['10.0.0.1', 'fd00::1'] }],
    [
      ['--flannel-ipv6-masq', '--flannel-external-ip=true'],
      { 'ipv6-masq': true, 'flannel-external-ip': true },
    ],
    [['--iface=eth0', '--flannel-iface=eth0'], { iface: ['eth0'] }],
  ])('%j', (args, expected) => {
    expect(optionsOf(args)).toMatchObject(expected);
  });

  test('what means Go’s source files is taken and does nothing', () => {
    const given = optionsOf(['--vmodule=main=2,kube*=3', '-log_backtrace_at', 'vxlan.go:42'], {});
    expect([given.vmodule, given.log_backtrace_at]).toEqual(['main=2,kube*=3', 'vxlan.go:42']);
  });

  test('as variables and in a file', () => {
    expect(optionsOf([], { FLANNELD_FLANNEL_IFACE: 'eth1' }).iface).toEqual(['eth1']);
    const command = readCommand([], {}, [
      setting('cluster-cidr', '10.42.0.0/16', 'fd00:42::/56'),
      setting('flannel-ipv6-masq', 'true'),
      setting('token', 'secret'),
      setting('node-label', 'a=b'),
    ]);
    expect(command).toMatchObject({
      options: { 'cluster-cidr': ['10.42.0.0/16', 'fd00:42::/56'], 'ipv6-masq': true },
      foreignKeys: ['token', 'node-label'],
    });
  });
});

describe('the configuration file is', () => {
  test.each([
    [['--config=/a'], { FLANNELD_CONFIG: '/b' }, '/a'],
    [[], { FLANNELD_CONFIG: '/b' }, '/b'],
    [['--config='], { FLANNELD_CONFIG: '/b' }, undefined],
    [['--version', '--config=/a'], {}, undefined],
    [[], {}, undefined],
  ])('%j %j: %s', (args, environment, file) => {
    expect(configurationFile(args, environment as Record<string, string>)).toBe(file);
  });
});

describe('what contradicts itself on one level is refused, and both are named:', () => {
  const meansTheSame = 'they mean the same option, leave one of them out';
  test.each([
    [['--iface=eth0', '--flannel-iface=eth1'], {}, [], '--iface says eth0, --flannel-iface says eth1'],
    [
      [],
      { FLANNELD_NET_CONFIG_PATH: '/a', FLANNELD_FLANNEL_CONF: '/b' },
      [],
      'FLANNELD_NET_CONFIG_PATH says /a, FLANNELD_FLANNEL_CONF says /b',
    ],
    [[], { NODE_NAME: 'a', K3S_NODE_NAME: 'b' }, [], 'NODE_NAME says a, K3S_NODE_NAME says b'],
    [
      [],
      {},
      [setting('iface', 'eth0'), setting('flannel-iface', 'eth1')],
      'c.yaml:1: iface says eth0, c.yaml:1: flannel-iface says eth1',
    ],
  ])('%j %j %j', (args, environment, settings, message) => {
    const read = () => readCommand(args, environment, settings);
    expect(read).toThrow(new UsageError(`${message}: ${meansTheSame}`));
  });
});

describe('refused', () => {
  test('every finding at once', () => {
    const read = () =>
      readCommand(['--cluster-cidr=10.42.0.0', '--healthz-port=x'], { FLANNELD_NODE_IP: 'here' }, [
        setting('flannel-backned', 'vxlan'),
        setting('iptables-resync', '-1'),
      ]);
    expect(read).toThrow(
      new UsageError(
        [
          '--cluster-cidr: "10.42.0.0" is not a list of address ranges such as 10.42.0.0/16',
          '--healthz-port: "x" is not a whole number from 0 to 65535',
          'FLANNELD_NODE_IP: "here" is not a list of IP addresses',
          'c.yaml:1: iptables-resync: "-1" is not a whole number from 0 to 2147483647',
          'c.yaml:1: there is no option flannel-backned; did you mean flannel-backend?',
        ].join('\n'),
      ),
    );
  });

  test.each(['', 'localhost', 'node1.example', '10.0.0.1', '::', 'fe80::1%br-lan', 'fe80::1%eth0.100'])(
    '--healthz-ip takes an address, with its zone, or a name: %j',
    (address) => expect(optionsOf([`--healthz-ip=${address}`])['healthz-ip']).toBe(address),
  );

  test.each([
    [['--leese-dir=/x'], {}, 'there is no flag --leese-dir; did you mean --lease-dir? See flanneld --help'],
    [['--colour'], {}, 'there is no flag --colour; see flanneld --help'],
    [['--healthz-port=http'], {}, '--healthz-port: "http" is not a whole number from 0 to 65535'],
    [['--healthz-port=65536'], {}, '--healthz-port: "65536" is not a whole number from 0 to 65535'],
    [['--public-ip=fd00::1'], {}, '--public-ip: "fd00::1" is not an IPv4 address'],
    [['--iface-regex=('], {}, '--iface-regex: "(" is no regular expression'],
    [['--iface-can-reach=home'], {}, '--iface-can-reach: "home" is not an IP address'],
    [['--subnet-file='], {}, '--subnet-file: "" is no place: name one, or leave it out'],
    [['--healthz-ip=::g'], {}, '--healthz-ip: "::g" is not an IP address'],
    [['--vmodule=x'], {}, '--vmodule: "x" is not of the form PATTERN=N,...'],
    [['--log_backtrace_at=main.go'], {}, '--log_backtrace_at: "main.go" is not of the form FILE:N'],
    [['--version=ja'], {}, '--version: "ja" is neither true nor false'],
    [
      [],
      { FLANNELD_HEALTHZ_PORT: '-1' },
      'FLANNELD_HEALTHZ_PORT: "-1" is not a whole number from 0 to 65535',
    ],
  ])('%j %j', (args, environment, message) => {
    expect(() => readCommand(args, environment as Record<string, string>)).toThrow(message);
  });
});

describe('the help', () => {
  test('names every option and its default', () => {
    for (const name of Object.keys(options)) expect(helpText()).toContain(`  --${name}`);
    expect(helpText()).toContain('Default: /run/flannel/subnet.env.');
  });

  test('and the reference page has the same table', () => {
    const page = readFileSync(path.join(import.meta.dirname, '../../docs/flanneld.md'), 'utf8');
    expect(page).toContain(optionsTable());
  });

  test('and K3s’s page names no flag that is not there where it says "the same"', () => {
    const page = readFileSync(path.join(import.meta.dirname, '../../docs/k3s.md'), 'utf8');
    const rows = page.split('\n').filter((line) => line.includes('| the same'));
    const flags = rows.flatMap((row) => [...row.matchAll(/`--([a-z0-9-]+)/g)].map(([, flag = '']) => flag));
    expect(rows.length).toBeGreaterThan(10);
    expect(flags.filter((flag) => optionOf(flag) === undefined)).toEqual([]);
  });
});
