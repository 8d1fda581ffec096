import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type SharedLeases, subnetOf } from './shared-leases.ts';
import { Simulation } from './simulation.ts';

describe('what an operator should know is in the log', () => {
  let simulation: Simulation;
  let leases: SharedLeases;
  beforeEach(async () => {
    simulation = new Simulation();
    ({ leases } = simulation);
    await simulation.play({ does: 'start', node: 1 });
  });
  afterEach(() => simulation[Symbol.asyncDispose]());
  const logged = (text: string) => simulation.node(1).log.filter((line) => line.includes(text));

  test('that its subnet is another one now', async () => {
    const lease = leases.lease('node-1');
    if (lease !== undefined) leases.put('node-1', { lease: { ...lease, subnet: subnetOf(9) } });
    await simulation.play({ does: 'move', node: 1 });
    expect(logged('10.244.1.0/24')).toEqual([
      expect.stringMatching(/^warn: .*subnet is 10\.244\.9\.0\/24 now, and was 10\.244\.1\.0\/24/),
    ]);
    expect(simulation.node(1).subnetEnv).toContain('FLANNEL_SUBNET=10.244.9.1/24');
  });

  test('which interface is the way to other nodes now, and makes that one ready too', async () => {
    const node = simulation.node(1);
    expect(node.prepared).toEqual(['eth0']);
    node.readdress(['192.0.2.78']);
    await simulation.clock.advance(1000);
    expect(logged('the way to other nodes has changed')).toHaveLength(1);
    expect(node.prepared).toEqual(['eth0', 'eth0']);
  });

  test('that no interface serves any more, once, and when one does again', async () => {
    const node = simulation.node(1);
    const before = node.addresses;
    node.readdress([]);
    await simulation.clock.advance(1000);
    // Something happens, and all is as it was.
    node.readdress(['192.0.2.77']);
    node.readdress([]);
    await simulation.clock.advance(1000);
    const lost = expect.stringContaining('eth0 has no IPv4 address that could serve');
    expect(logged('the way to other nodes')).toEqual([lost]);
    expect(node.flanneld?.status().interface).toMatchObject({ name: 'eth0', lost });
    node.readdress(before);
    await simulation.clock.advance(1000);
    expect(logged('there is a way to other nodes again')).toHaveLength(1);
    expect(node.flanneld?.status().interface).toEqual({ name: 'eth0', mtu: 1500 });
  });

  test('who is refused because this node has changed', async () => {
    await simulation.play({ does: 'start', node: 2 });
    const theirs = leases.lease('node-2')?.attributes.publicIP;
    simulation.node(2).kill();
    simulation.node(1).readdress([theirs ?? '', '2001:db8::77']);
    await simulation.clock.advance(1000);
    expect(logged('is refused')).toEqual([
      "warn: the lease of node-2 is refused: its public address 192.0.2.2 is this node's own",
    ]);
  });
});
