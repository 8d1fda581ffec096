import { expect, test } from 'vitest';
import { readNetworkConfig } from '../kit/network-config.ts';

test.each([
  ['"vxlan"', 'a string'],
  ['["vxlan"]', 'an array'],
  ['1.0', 'a number with a fraction or exponent'],
])('a Backend that is %s is said to be %s', (text, kind) => {
  expect(() => readNetworkConfig(`{"Network":"10.244.0.0/16","Backend":${text}}`)).toThrow(
    `Backend must be an object such as {"Type": "vxlan"}, and is ${kind}`,
  );
});
