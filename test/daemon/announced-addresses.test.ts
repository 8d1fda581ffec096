import { expect, test } from 'vitest';
import { announcedAddresses } from '../../src/daemon/leases/announced-addresses.ts';
import { given } from './options-given.ts';

test.each([
  [[], {}],
  [['--node-external-ip=203.0.113.1'], {}],
  [['--flannel-external-ip'], {}],
  [['--flannel-external-ip', '--node-external-ip=203.0.113.1,203.0.113.2'], { publicIP: '203.0.113.1' }],
  [
    ['--flannel-external-ip', '--node-external-ip=2001:db8::1', '--node-external-ip=203.0.113.1'],
    { publicIP: '203.0.113.1', publicIPv6: '2001:db8::1' },
  ],
])('with %j peers are told %j', (args, addresses) => {
  expect(announcedAddresses(given(...args).options)).toEqual(addresses);
});
