import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Simulation } from './simulation.ts';

describe('a dry run', () => {
  let simulation: Simulation;
  beforeEach(async () => {
    simulation = new Simulation();
    for (const node of [1, 2]) await simulation.play({ does: 'start', node });
  });
  afterEach(() => simulation[Symbol.asyncDispose]());

  const dryRun = async (n: number): Promise<string> => {
    const said = simulation
      .node(n)
      .dryRun()
      .catch((error: unknown) => `error: ${(error as Error).message}`);
    await simulation.clock.advance(15_000);
    return said;
  };

  test('on a node as it should be would change nothing', async () => {
    simulation.node(1).stop();
    expect(await dryRun(1)).toBe(
      [
        'This node would have the subnet 10.244.1.0/24 and be reached at 192.0.2.1 on eth0.',
        'In the kernel it would change nothing.',
        'It would leave subnet.env as it is.',
        'It would set:',
        '  net.ipv4.ip_forward=1 for eth0',
        'It would write firewall rules:',
        '  iptables: *nat',
        'Nothing has been changed.',
        '',
      ].join('\n'),
    );
  });

  test('tells what has become of the others, and writes nothing, neither here nor to the registry', async () => {
    const node = simulation.node(1);
    node.stop();
    await simulation.play({ does: 'inherit', node: 2, first: 'gone' });
    await simulation.play({ does: 'lie', how: 'outside', takenBack: false });
    node.subnetEnv = undefined;
    const [before, leases] = [node.shown(), JSON.stringify([...simulation.leases.entries])];
    node.kernel.requests.splice(0);
    const said = await dryRun(1);
    expect(said).toContain('  replace neighbour 10.244.2.0 lladdr 02:00:00:00:00:03 dev flannel.1, was ');
    expect(said).toContain('  liar: its subnet 10.9.0.0/24 is outside of the network 10.244.0.0/16\n');
    expect(said).toContain('It would write subnet.env:\n  FLANNEL_NETWORK=10.244.0.0/16\n');
    expect(node.kernel.requests.filter(({ name }) => !name.startsWith('RTM_GET'))).toEqual([]);
    expect([node.shown(), JSON.stringify([...simulation.leases.entries])]).toEqual([before, leases]);
    expect(simulation.leases.completed.get('node-1')).toBe(1);
  });

  test('sees what stands where peers will be, also those that it hears of late', async () => {
    await using hostGw = new Simulation('host-gw');
    for (const node of [1, 2]) await hostGw.play({ does: 'start', node });
    const node = hostGw.node(1);
    node.kill();
    node.state = undefined;
    for (const route of node.kernel.routes) if (route.rtm_protocol === 241) route.rtm_protocol = 3;
    const said = node.dryRun();
    await hostGw.clock.advance(1000);
    expect(await said).toContain(
      '  replace route 10.244.2.0/24 via 192.0.2.2 dev eth0, was route 10.244.2.0/24 via 192.0.2.2 dev eth0 proto boot\n',
    );
  });

  test('goes by the subnet file when the registry does not know the node, as after Go flannel', async () => {
    const node = simulation.node(1);
    node.kill();
    node.state = undefined;
    simulation.leases.remove('node-1');
    expect(await dryRun(1)).toContain('would have the subnet 10.244.1.0/24');
    node.subnetEnv = undefined;
    expect(await dryRun(1)).toMatch(
      /^error: what would change cannot be told: this node has no lease in .*a new one/,
    );
  });

  test('says when the registry does not answer', async () => {
    simulation.node(1).stop();
    simulation.leases.away();
    expect(await dryRun(1)).toMatch(/^error: .* does not say which nodes there are: nobody answers/);
  });
});
