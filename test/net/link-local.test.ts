import { expect, test } from 'vitest';
import { linkLocalAddress } from '../../src/net/link-local.ts';
import { mac } from '../../src/net/mac.ts';

test.each([
  ['12:c6:65:89:b4:e3', 'fe80::10c6:65ff:fe89:b4e3'],
  ['02:00:00:00:00:01', 'fe80::ff:fe00:1'],
  ['fe:00:0a:00:00:00', 'fe80::fc00:aff:fe00:0'],
])('the link-local address of %s is %s', (text, expected) => {
  expect(linkLocalAddress(mac(text))).toBe(expected);
});
