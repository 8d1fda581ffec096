import { describe, expect, test } from 'vitest';
import type { PlannedRoute } from '../../src/cni/attachment/attachment.ts';
import { addressSteps } from '../../src/cni/attachment/pod-end.ts';
import { StepError } from '../../src/cni/attachment/link.ts';
import { explain } from '../../src/cni/attachment/refusal.ts';
import { address } from '../../src/net/address.ts';
import { prefix } from '../../src/net/prefix.ts';
import { NetlinkError } from '../../src/netlink/error.ts';

const ENETUNREACH = 101;

/** What is said when the kernel cannot reach the gateway of the last of these routes. */
function refusalOfRoute(routes: PlannedRoute[], configured: PlannedRoute[]): unknown {
  const ips = [{ address: prefix('10.244.1.2/24'), gateway: address('10.244.1.1') }];
  const step = addressSteps({ options: { enabledad: false } as never }, { ips, routes }, 5).at(-1);
  if (step === undefined) throw new Error('there is no step');
  return explain(new StepError(step, new NetlinkError('RTM_NEWROUTE', ENETUNREACH)), configured);
}

describe('a route whose gateway cannot be reached', () => {
  const everything = prefix('0.0.0.0/0');
  const cluster = prefix('10.244.0.0/16');
  const gw = address('192.0.2.1');

  test.each([[cluster], [everything]])('%s with a gateway of its own: the configuration is wrong', (dst) => {
    const route = { dst, gw };
    expect(refusalOfRoute([route], [route])).toMatchObject({
      code: 7,
      message: expect.stringContaining("via 192.0.2.1': RTM_NEWROUTE: ENETUNREACH"),
      details: expect.stringContaining('ipam.routes'),
    });
  });

  test.each([
    ['of isDefaultGateway', { dst: everything, gw: address('10.244.1.1') }, { dst: cluster, gw }],
    ['of isDefaultGateway, which another shares', { dst: everything, gw }, { dst: cluster, gw }],
    ['without a gateway of its own', { dst: cluster }, { dst: cluster }],
  ])('%s: it says nothing of the configuration', (_, route, configured) => {
    const error = refusalOfRoute([route], [configured]);
    expect(error).not.toHaveProperty('code');
    expect(String(error)).not.toContain('ipam.routes');
  });
});
