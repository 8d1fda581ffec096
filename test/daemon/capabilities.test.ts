import { expect, test } from 'vitest';
import { requireCapabilities } from '../../src/daemon/host/capabilities.ts';

const status = (effective: string) => `Name:\tflanneld\nCapPrm:\t000001ffffffffff\nCapEff:\t${effective}\n`;

test('CAP_NET_ADMIN alone is enough', () => {
  expect(() => requireCapabilities(status('0000000000001000'))).not.toThrow();
  expect(() => requireCapabilities(status('000001ffffffffff'))).not.toThrow();
});

test('without it, the message says how to give it', () => {
  expect(() => requireCapabilities(status('000001ffffffefff'))).toThrow(/CAP_NET_ADMIN.*AmbientCapabilities/);
});

test('without /proc, it says that', () => {
  expect(() => requireCapabilities('')).toThrow('is /proc mounted?');
});
