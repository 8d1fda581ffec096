import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readCommand } from '../../src/daemon/configuration.ts';
import { helpText, optionsTable } from '../../src/daemon/help.ts';
import { flagsToCome, options } from '../../src/daemon/options.ts';

function optionsOf(args: string[], environment: Record<string, string> = {}) {
  const command = readCommand(args, environment);
  if (command.does !== 'run') throw new Error(`it only wants to show ${command.does}`);
  return command.options;
}

describe('the options', () => {
  test('have flannel’s defaults', () => {
    expect(optionsOf([])).toEqual({
      'net-config-path': '/etc/kube-flannel/net-conf.json',
      'lease-dir': '',
      'node-name': '',
      iface: [],
      'public-ip': undefined,
      'public-ipv6': undefined,
      'subnet-file': '/run/flannel/subnet.env',
      'state-dir': '/var/lib/flannelette',
      socket: '/run/flannel/flanneld.sock',
      'healthz-ip': '0.0.0.0',
      'healthz-port': 0,
      'ip-masq': false,
      'ip-masq-fully-random-disable': false,
      'iptables-forward-rules': true,
      'iptables-resync': 5,
      'ip-blackhole-route': false,
      v: 0,
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

  test('an empty flag is given, and hides the environment', () => {
    expect(optionsOf(['--node-name='], { NODE_NAME: 'node-1' })['node-name']).toBe('');
  });

  test('--node-name: flag, FLANNELD_NODE_NAME, NODE_NAME', () => {
    const environment = { FLANNELD_NODE_NAME: 'b', NODE_NAME: 'c' };
    expect(optionsOf(['--node-name=a'], environment)['node-name']).toBe('a');
    expect(optionsOf([], environment)['node-name']).toBe('b');
    expect(optionsOf([], { NODE_NAME: 'c' })['node-name']).toBe('c');
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

describe('refused', () => {
  test.each([
    [['--leese-dir=/x'], {}, 'there is no flag --leese-dir; did you mean --lease-dir? See flanneld --help'],
    [['--colour'], {}, 'there is no flag --colour; see flanneld --help'],
    [['--healthz-port=http'], {}, '--healthz-port: "http" is not a whole number from 0 to 65535'],
    [['--healthz-port=65536'], {}, '--healthz-port: "65536" is not a whole number from 0 to 65535'],
    [['--public-ip=fd00::1'], {}, '--public-ip: "fd00::1" is not an IPv4 address'],
    [['--version=ja'], {}, '--version: "ja" is neither true nor false'],
    [
      [],
      { FLANNELD_HEALTHZ_PORT: '-1' },
      'FLANNELD_HEALTHZ_PORT: "-1" is not a whole number from 0 to 65535',
    ],
    [
      ['--kube-subnet-mgr'],
      {},
      "--kube-subnet-mgr is a flag of Go flannel's that this version of Flannelette does not have yet",
    ],
    [
      [],
      { FLANNELD_VMODULE: 'kube=2' },
      "FLANNELD_VMODULE is set: --vmodule is a flag of Go flannel's that this version of Flannelette does not have yet. Unset the variable",
    ],
  ])('%j %j', (args, environment, message) => {
    expect(() => readCommand(args, environment as Record<string, string>)).toThrow(message);
  });

  test('no flag is both there and to come', () => {
    expect(flagsToCome.filter((flag) => flag in options)).toEqual([]);
  });
});

describe('the help', () => {
  test('names every option and its default', () => {
    for (const name of Object.keys(options)) expect(helpText()).toContain(`  --${name}`);
    expect(helpText()).toContain('Default: /run/flannel/subnet.env.');
  });

  test('and the reference page has the same table, and names the flags to come', () => {
    const page = readFileSync(path.join(import.meta.dirname, '../../docs/flanneld.md'), 'utf8');
    expect(page).toContain(optionsTable());
    for (const flag of flagsToCome) expect(page).toContain(`\`${flag}\``);
  });
});
