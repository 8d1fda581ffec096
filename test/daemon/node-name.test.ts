import { expect, test } from 'vitest';
import { ConfigurationError } from '../../src/daemon/network/network-config.ts';
import { nodeNameOf } from '../../src/daemon/host/node-name.ts';

test.each([
  ['', 'Pi-4', 'pi-4'],
  ['Node-1', 'localhost', 'node-1'],
  ['localhost', '', 'localhost'],
])('the node with --node-name=%s on host %s is %s', (given, hostname, name) => {
  expect(nodeNameOf(given, hostname)).toBe(name);
});

test.each([
  ['', 'this host has no name'],
  ['(none)', 'this host has no name'],
  ['localhost', 'this host is called "localhost"'],
  ['LocalHost.localdomain', 'this host is called "localhost.localdomain"'],
])('the host name %j is none of a node', (hostname, why) => {
  const message = `${why}, which cannot be the name of a node: name it by --node-name or K3S_NODE_NAME`;
  expect(() => nodeNameOf('', hostname)).toThrow(new ConfigurationError(undefined, [message]));
});
