import { describe, expect, test } from 'vitest';
import { readCommand } from '../../src/daemon/options/configuration.ts';
import { etcdAccess } from '../../src/daemon/leases/etcd-access.ts';
import { shownOptions } from '../../src/daemon/options/options.ts';
import { registryKind } from '../../src/daemon/options/registry-kind.ts';

function given(args: string[], environment: Record<string, string> = {}) {
  const command = readCommand(args, environment);
  if (command.does !== 'run') throw new Error(`it only wants to show ${command.does}`);
  return command;
}
const access = (...args: string[]) => etcdAccess(given(args).options);

describe('how etcd is reached', () => {
  test('without a word as by Go flannel', () => {
    expect(access()).toEqual({ endpoints: ['http://127.0.0.1:4001', 'http://127.0.0.1:2379'] });
  });

  test.each([
    ['https://10.0.0.1:2379,https://10.0.0.2:2379/', ['https://10.0.0.1:2379', 'https://10.0.0.2:2379']],
    [' http://a:1 ,, http://a:1', ['http://a:1']],
    ['http://[fd00::1]:2379', ['http://[fd00::1]:2379']],
    ['10.0.0.1:2379', ['http://10.0.0.1:2379']],
  ])('--etcd-endpoints=%s', (list, endpoints) => {
    expect(access(`--etcd-endpoints=${list}`)).toEqual({ endpoints });
  });

  test('with certificates and a user', () => {
    const args = ['--etcd-cafile=/ca', '--etcd-certfile=/cert', '--etcd-keyfile=/key'];
    expect(
      access('--etcd-endpoints=10.0.0.1:2379', ...args, '--etcd-username=fl', '--etcd-password=x'),
    ).toEqual({
      endpoints: ['https://10.0.0.1:2379'],
      tls: { ca: { file: '/ca' }, cert: { file: '/cert' }, key: { file: '/key' } },
      user: { name: 'fl', password: 'x' },
    });
  });

  test.each([
    [['--etcd-endpoints='], /names no address/],
    [
      ['--etcd-endpoints=ftp://a,http://b/v3'],
      /"ftp:\/\/a" is no address.*\n.*"http:\/\/b\/v3" is no address/,
    ],
    [
      ['--etcd-endpoints=http://a#x,http://b?,http://c#'],
      /"http:\/\/a#x" is no address.*\n.*"http:\/\/b\?" is no.*\n.*"http:\/\/c#" is no/,
    ],
    [['--etcd-endpoints=http://u:secret@a:1'], /"http:\/\/\.\.\.@a:1" is no address/],
    [['--etcd-endpoints=root:secret@10.0.0.1:2379,b'], /"\.\.\.@10\.0\.0\.1:2379" is no address/],
    [['--etcd-endpoints=http://a,root:secret,//secret@b:1'], /"http:\/\/\.\.\.@b:1" is no address/],
    [
      ['--etcd-endpoints=https://a:1', '--etcd-certfile=/c'],
      /--etcd-certfile and --etcd-keyfile belong together/,
    ],
    [['--etcd-password=x'], /--etcd-password is given without --etcd-username/],
    [['--etcd-cafile=/ca'], /no use for certificates: write https:/],
  ])('%j is refused', (args, message) => {
    expect(() => access(...args)).toThrow(message);
    expect(() => access(...args)).not.toThrow(/secret/);
  });
});

describe('the log', () => {
  const shown = (...args: string[]) => {
    const { options, sources } = given(args);
    return Object.values(shownOptions(options, sources));
  };

  test.each([
    ['--etcd-endpoints=http://a:1,http://u:xyz@b:1', 'http://...@b:1'],
    ['--etcd-endpoints=u:xyz@10.0.0.1:2379', '...@10.0.0.1:2379'],
    ['--etcd-endpoints=u:xyz@a:1,http://b:1', '...@a:1,http://b:1'],
    ['--etcd-endpoints=u:x,y//z@a:1,b:1', '...@a:1,b:1'],
    ['--etcd-endpoints=http://a:1,b:1', 'http://a:1,b:1'],
    ['--kube-api-url=https://u:xyz@c', 'https://...@c'],
    ['--kube-api-url=u:xyz@c', '...@c'],
  ])('of %s shows no password', (arg, text) => {
    expect(shown(arg)).toEqual([text]);
  });

  test('shows what is no URL as it is', () => {
    expect(shown('--etcd-prefix=//a@b', '--iface-regex=//.*@')).toEqual(['//a@b', ['//.*@']]);
  });
});

test('the log does not show the password', () => {
  const { options, sources } = given([], { FLANNELD_ETCD_PASSWORD: 'xyz', FLANNELD_ETCD_USERNAME: 'fl' });
  expect(options['etcd-password']).toBe('xyz');
  expect(shownOptions(options, sources)).toEqual({
    FLANNELD_ETCD_PASSWORD: '(secret)',
    FLANNELD_ETCD_USERNAME: 'fl',
  });
});

describe('the registry', () => {
  const kind = (args: string[], environment: Record<string, string> = {}) => {
    const { options, sources } = given(args, environment);
    return registryKind(options, sources);
  };

  test('is etcd unless another is named', () => {
    expect(kind([])).toBe('etcd');
    expect(kind(['--etcd-endpoints=http://a:1'])).toBe('etcd');
    expect(kind(['--lease-dir=/srv'])).toBe('directory');
    expect(kind(['--kube-subnet-mgr'])).toBe('kubernetes');
  });

  test('is not guessed where a script has lost its name', () => {
    expect(() => kind(['--lease-dir='])).toThrow('--lease-dir: "" is no place: name one, or leave it out');
  });

  test('is one: two are refused by name', () => {
    expect(() => kind(['--lease-dir=/srv'], { FLANNELD_ETCD_ENDPOINTS: 'http://a:1' })).toThrow(
      /^--lease-dir and FLANNELD_ETCD_ENDPOINTS name two registries/,
    );
    expect(() => kind(['--kube-subnet-mgr', '--lease-dir=/srv'])).toThrow(
      /^--kube-subnet-mgr and --lease-dir name two registries/,
    );
  });
});
