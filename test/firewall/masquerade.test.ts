import { describe, expect, test } from 'vitest';
import { collectMasquerade, tearDownMasquerade } from '../../src/firewall/masquerade.ts';
import type { Outcome, Run } from '../../src/firewall/process.ts';
import { prefix } from '../../src/net/prefix.ts';

const pod = {
  network: 'cbr0',
  containerID: 'c1',
  ifname: 'eth0',
  addresses: [prefix('10.244.1.2/24')],
};

/** Every program ends like this. */
const always =
  (outcome: Partial<Outcome>): Run =>
  () =>
    Promise.resolve({ code: 1, stdout: '', stderr: '', ...outcome });

describe.each(['iptables', 'nftables'] as const)('taking rules away by %s', (backend) => {
  const tearDown = (run: Run) => tearDownMasquerade(run, backend, pod, []);
  const collect = (run: Run) => collectMasquerade(run, backend, 'cbr0', []);

  test.each([
    ['no process can be made', { code: -1, stderr: 'spawn EAGAIN' }],
    ['the program was killed', { code: -1 }],
  ])('when %s they may be there still, and that is an error', async (_what, outcome) => {
    await expect(tearDown(always(outcome))).rejects.toThrow(/whether masquerade rules are left/);
    await expect(collect(always(outcome))).rejects.toThrow(/whether masquerade rules are left/);
  });

  test.each([
    ['there is no such program', { code: -1, stderr: 'spawn nft ENOENT' }],
    ['the kernel has no such table', { code: 1, stderr: 'No such file or directory' }],
  ])('when %s there are none', async (_what, outcome) => {
    await tearDown(always(outcome));
    await collect(always(outcome));
  });
});
