import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Lease } from '../../src/lease/lease.ts';
import type { FakeRequest } from '../netlink/fake-kernel.ts';
import { subnetOf } from './shared-leases.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { Simulation } from './simulation.ts';

const EPERM = 1;
const ENETUNREACH = 101;

describe('readiness', () => {
  let simulation: Simulation;
  let node: SimulatedNode;
  beforeEach(() => {
    simulation = new Simulation();
    node = simulation.node(1);
  });
  afterEach(() => simulation[Symbol.asyncDispose]());

  test('waits for the device of this node, and says what is the matter', async () => {
    node.kernel.refuse = ({ name }) => (name === 'RTM_NEWLINK' ? EPERM : undefined);
    node.start();
    await simulation.clock.advance(10_000);
    expect([node.ready, node.subnetEnv]).toEqual([false, undefined]);
    expect(node.flanneld?.waitingFor).toEqual([expect.stringMatching(/^cannot add link flannel\.1 .*EPERM/)]);
    expect(node.log.filter((line) => line.includes('cannot add link'))).toHaveLength(1);
    node.kernel.refuse = () => undefined;
    await simulation.clock.advance(31_000);
    expect([node.ready, node.flanneld?.waitingFor]).toEqual([true, []]);
    expect(node.subnetEnv).toContain('FLANNEL_SUBNET=10.244.1.1/24');
  });

  test('waits for a way to other nodes before there is a lease, and does not blame the registry', async () => {
    const before = node.addresses;
    node.start();
    node.readdress([]);
    await simulation.clock.advance(10_000);
    const lost = expect.stringContaining('eth0 has no IPv4 address that could serve');
    expect(node.flanneld?.status()).toMatchObject({
      registry: { name: 'shared memory' },
      interface: { name: 'eth0', lost },
      waitingFor: ['an interface that leads to other nodes'],
    });
    expect(node.flanneld?.status().registry).not.toHaveProperty('why');
    node.readdress(before);
    await simulation.clock.advance(20_000);
    expect([node.ready, node.flanneld?.status().interface]).toEqual([true, { name: 'eth0', mtu: 1500 }]);
  });

  test('does not wait for a peer that cannot be reached', async () => {
    await simulation.play({ does: 'start', node: 2 });
    node.kernel.refuse = (request) => (isRoute(request) ? ENETUNREACH : undefined);
    node.start();
    await simulation.clock.advance(5000);
    expect([node.ready, node.flanneld?.status().kernel.failed.length]).toEqual([true, 1]);
  });

  test('is taken back while the device cannot be mended', async () => {
    await simulation.play({ does: 'start', node: 1 });
    node.kernel.refuse = ({ name }) => (name === 'RTM_NEWLINK' ? EPERM : undefined);
    await simulation.play({ does: 'vandalise', node: 1, how: 'device', announced: true }, true);
    await simulation.clock.advance(100);
    expect(node.flanneld?.waitingFor).toEqual([expect.stringContaining('EPERM')]);
    node.kernel.refuse = () => undefined;
    await simulation.clock.advance(31_000);
    expect(node.flanneld?.waitingFor).toEqual([]);
  });

  test('has the firewall and the subnet file say the same, also when the subnet changes while it gets ready', async () => {
    await simulation.play({ does: 'start', node: 1 });
    node.reboot();
    simulation.leases.away();
    const before = simulation.leases.lease('node-1') as Lease;
    simulation.leases.entries.set('node-1', { lease: { ...before, subnet: subnetOf(7) } });
    node.firewallTakes = 3000;
    node.start();
    await simulation.clock.advance(1000);
    simulation.leases.back();
    await simulation.clock.advance(20_000);
    expect([node.ready, node.firewall]).toEqual([true, [subnetOf(7)]]);
    expect(node.subnetEnv).toContain('FLANNEL_SUBNET=10.244.7.1/24');
  });

  test('waits until the subnet file can be written, and a later change of it is written in the end too', async () => {
    const lines = () => node.log.filter((line) => line.includes('cannot write the subnet file: ENOSPC'));
    node.discIsFull = true;
    node.start();
    await simulation.clock.advance(5000);
    expect([node.ready, lines().length > 1]).toEqual([false, true]);
    expect(lines()[0]).toContain('make it possible to write there, or name another place (--subnet-file)');
    node.discIsFull = false;
    await simulation.clock.advance(15_000);
    expect(node.ready).toBe(true);
    const lease = simulation.leases.lease('node-1');
    if (lease !== undefined) simulation.leases.put('node-1', { lease: { ...lease, subnet: subnetOf(9) } });
    node.discIsFull = true;
    node.readdress(['192.0.2.77', '2001:db8::77']);
    await simulation.clock.advance(5000);
    expect(node.subnetEnv).toContain('FLANNEL_SUBNET=10.244.1.1/24');
    node.discIsFull = false;
    await simulation.clock.advance(15_000);
    expect(node.subnetEnv).toContain('FLANNEL_SUBNET=10.244.9.1/24');
  });

  test('has the host made ready for the interface that it is then, though it changes at the last moment', async () => {
    node.firewallTakes = 60_000;
    node.start();
    await simulation.clock.advance(10_000);
    expect([node.ready, node.prepared.at(-1)]).toEqual([false, 'eth0']);
    node.rename('eth7');
    await simulation.clock.advance(120_000);
    expect([node.ready, node.prepared.at(-1)]).toEqual([true, 'eth7']);
  });

  test('waits until the host could be made ready', async () => {
    node.refusePrepare = 2;
    node.start();
    await simulation.clock.advance(20_000);
    expect([node.ready, node.prepared]).toEqual([true, ['eth0']]);
    expect(node.log.filter((line) => line.includes('the host could not be made ready: EINTR'))).toHaveLength(
      2,
    );
  });

  test('is told to the cluster until it hears', async () => {
    simulation.leases.refuseComplete = 3;
    node.start();
    await simulation.clock.advance(60_000);
    expect(simulation.leases.completed.get('node-1')).toBe(1);
    expect(node.log.filter((line) => line.includes('cannot tell the cluster'))).toHaveLength(3);
  });

  const isRoute = ({ name, value }: FakeRequest): boolean =>
    name === 'RTM_NEWROUTE' && value.RTA_DST === '10.244.1.0';
});
