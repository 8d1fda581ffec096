import { expect, test } from 'vitest';
import { BackendError } from '../../src/backend/error.ts';
import { effectiveNetwork } from '../../src/daemon/network/effective-network.ts';
import { InterfaceError } from '../../src/daemon/host/interface.ts';
import { ConfigurationError } from '../../src/daemon/network/network-config.ts';
import { preflight } from '../../src/daemon/preflight.ts';
import { silentLog } from '../../src/world/log.ts';
import { given } from './options-given.ts';

/** What is logged, and what is thrown. */
function outcome(args: string[], needs: (() => unknown)[] = []) {
  const asked = given(...args);
  const logged: string[] = [];
  const log = {
    ...silentLog,
    warn: (_fields: object, text: string) => logged.push(`warn: ${text}`),
    info: (_fields: object, text: string) => logged.push(`info: ${text}`),
  };
  const network = effectiveNetwork({ ...asked, file: undefined });
  try {
    preflight({ ...asked, network, nodeRanges: [], previous: [], wasIn: () => false, needs, log });
    return { logged, error: undefined };
  } catch (error) {
    return { logged, error };
  }
}

const fails = (error: Error) => () => {
  throw error;
};

test('warnings and hints are logged, and nobody is stopped', () => {
  const args = [
    '--cluster-cidr=10.42.0.0/16,fd00:42::/56',
    '--flannel-external-ip',
    '--flannel-backend=wireguard',
  ];
  const { logged, error } = outcome(args, [() => 'all is well']);
  expect(error).toBeUndefined();
  expect(logged).toEqual([
    expect.stringMatching(/^warn: --flannel-backend: "wireguard" is K3s's old name/),
    expect.stringMatching(/^warn: --flannel-external-ip has no effect/),
    expect.stringMatching(/^info: the pods' IPv6 addresses fd00:42::\/56 are local ones/),
  ]);
});

test('all that is in the way is thrown at once', () => {
  const needs = [
    fails(new InterfaceError('no interface')),
    fails(new ConfigurationError('a.conflist', ['no "name"'])),
    fails(new BackendError('no backend')),
  ];
  const { error } = outcome(['--cluster-cidr=10.42.0.0/25'], needs);
  expect(error).toBeInstanceOf(ConfigurationError);
  expect((error as Error).message.split('\n')).toEqual([
    'no interface',
    'a.conflist: no "name"',
    'no backend',
    expect.stringMatching(/^--cluster-cidr 10\.42\.0\.0\/25 is smaller than a node's subnet/),
  ]);
});

test('a defect is no finding', () => {
  expect(outcome(['--cluster-cidr=10.42.0.0/16'], [fails(new TypeError('oh'))]).error).toBeInstanceOf(
    TypeError,
  );
});
