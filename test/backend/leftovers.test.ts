import { expect, test } from 'vitest';
import { leftovers } from '../../src/backend/leftovers.ts';
import { address } from '../../src/net/address.ts';
import { prefix } from '../../src/net/prefix.ts';

const networks = [prefix('10.244.0.0/16'), prefix('fd00:10:244::/56')];

test.each([
  ['flannel.1', ['10.244.1.0', 'fe80::1'], true],
  ['flannel.4096', ['10.244.1.0'], true],
  ['flannel-v6.1', ['fd00:10:244:1::', 'fe80::1'], true],
  ['flannel.ipip', ['10.244.1.0'], true],
  ['flannel-wg', ['10.244.1.0', 'fd00:10:244:1::'], true],
  ['flannel-wg-v6', ['fd00:10:244:1::'], true],
  // Of another network, or on the way to be so.
  ['flannel.2', ['10.11.1.0'], false],
  ['flannel.2', ['10.244.1.0', '10.11.1.0'], false],
  ['flannel.2', [], false],
  ['flannel.2', ['fe80::1'], false],
  // Nobody's of flannel.
  ['cni0', ['10.244.1.1'], false],
  ['flannel.1x', ['10.244.1.0'], false],
  ['xflannel.1', ['10.244.1.0'], false],
])('%s with %j is a leftover: %s', (name, addresses, is) => {
  const found = [{ name, addresses: addresses.map(address) }];
  expect(leftovers(found, networks)).toEqual(is ? [name] : []);
});
