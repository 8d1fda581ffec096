import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { DirectoryRegistry } from '../../src/lease/directory.ts';
import type { Lease } from '../../src/lease/lease.ts';
import { LeaseFiles } from '../../src/lease/lease-files.ts';
import { address } from '../../src/net/address.ts';
import type { FakeRequest } from '../netlink/fake-kernel.ts';
import type { SharedLeases } from './shared-leases.ts';
import { subnetOf } from './shared-leases.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { Simulation, steps } from './simulation.ts';

const EPERM = 1;
const ENETUNREACH = 101;

const dualStack = { EnableIPv6: true, IPv6Network: 'fd00:244::/48' };

describe('whatever happens to a cluster, each node has what the leases say, and nothing goes while it is blind', () => {
  test.each([
    ['vxlan', 'IPv4', {}],
    ['vxlan', 'dual stack', dualStack],
    ['host-gw', 'dual stack', dualStack],
  ] as const)('%s, %s', async (backend, _families, config) => {
    const plays = fc.asyncProperty(steps, async (all) => {
      await using simulation = new Simulation(backend, config);
      await simulation.play({ does: 'start', node: 1 });
      for (const { step, hurry } of all) await simulation.play(step, hurry);
      await simulation.play({ does: 'back' });
    });
    await fc.assert(plays, { numRuns: 4 });
  });
});

describe('a node', () => {
  let simulation: Simulation;
  beforeEach(() => {
    simulation = new Simulation();
  });
  afterEach(() => simulation[Symbol.asyncDispose]());

  test('boots while the registry is away: its peers of last time are there again', async () => {
    for (const node of [1, 2, 3]) await simulation.play({ does: 'start', node });
    await simulation.play({ does: 'away' });
    await simulation.play({ does: 'reboot', node: 1 });
    expect(peersOf(1)).toEqual(['10.244.2.0/24', '10.244.3.0/24']);
    await simulation.play({ does: 'inherit', node: 3, first: 'gone' });
    await simulation.play({ does: 'back' });
    expect(peersOf(1)).toEqual(['10.244.2.0/24', '10.244.3.0/24']);
  });

  test('keeps its peers of last time while the directory of the leases is empty: it may not be mounted yet', async () => {
    const directory = scratch();
    const node = simulation.node(1);
    node.openRegistry = () =>
      new DirectoryRegistry({
        directory,
        node: node.id,
        ranges: { ipv4: { length: 24, min: address('10.244.1.0'), max: address('10.244.9.0') } },
        files: fs,
        flock: () => 0,
        clock: simulation.clock,
        knowsPeers: () => node.state?.includes('"node-2"') === true,
      });
    const documents = new LeaseFiles(directory, fs);
    node.start();
    await simulation.clock.advance(2000);
    documents.write(leaseOf(2));
    node.kill();
    node.start();
    await simulation.clock.advance(2000);
    expect([node.ready, peersOf(1)]).toEqual([true, ['10.244.2.0/24']]);
    fs.renameSync(directory, `${directory}.away`);
    fs.mkdirSync(directory);
    node.reboot();
    node.start();
    await simulation.clock.advance(60_000);
    expect([node.ready, peersOf(1), documents.list()]).toEqual([true, ['10.244.2.0/24'], []]);
    expect(node.flanneld?.status().registry.why).toContain('is it mounted?');
    fs.rmSync(directory, { recursive: true });
    fs.renameSync(`${directory}.away`, directory);
    fs.rmSync(`${directory}/node-2.json`);
    documents.write(leaseOf(3));
    // Not so long that all is compared: that takes real time.
    await simulation.clock.advance(16_000);
    expect([peersOf(1), node.flanneld?.status().registry.why]).toEqual([['10.244.3.0/24'], undefined]);
  });

  test('takes the subnet that the registry comes to have for it', async () => {
    await simulation.play({ does: 'start', node: 1 });
    const put = (n: number) =>
      simulation.leases.put('node-1', {
        lease: { ...(simulation.leases.lease('node-1') as Lease), subnet: subnetOf(n) },
      });
    put(7);
    await simulation.clock.advance(1000);
    expect(simulation.node(1).flanneld?.subnets).toEqual([subnetOf(7)]);
    await simulation.play({ does: 'away' });
    put(8);
    await simulation.play({ does: 'back' });
    expect(simulation.node(1).flanneld?.subnets).toEqual([subnetOf(8)]);
  });

  test('waits when the registry answers that it has no subnet: the one of last time may be another’s', async () => {
    for (const each of [1, 2]) await simulation.play({ does: 'start', node: each });
    const node = simulation.node(1);
    node.kill();
    simulation.leases.remove('node-1');
    simulation.leases.isFull = true;
    node.start();
    await simulation.clock.advance(20_000);
    simulation.leases.away();
    await simulation.clock.advance(20_000);
    expect([node.ready, node.flanneld?.subnets]).toEqual([false, []]);
    simulation.leases.isFull = false;
    simulation.leases.back();
    await simulation.clock.advance(20_000);
    expect([node.ready, node.flanneld?.subnets]).toEqual([true, ['10.244.1.0/24']]);
  });

  test('tells the others where it is, also when its address has changed while the registry was away', async () => {
    await using hostGw = new Simulation('host-gw');
    hostGw.leases.away();
    const node = hostGw.node(1);
    node.start();
    await hostGw.clock.advance(60_000);
    node.readdress(['192.0.2.77']);
    await hostGw.clock.advance(60_000);
    hostGw.leases.back();
    await hostGw.clock.advance(60_000);
    expect(node.ready).toBe(true);
    expect(hostGw.leases.lease('node-1')?.attributes.publicIP).toBe('192.0.2.77');
  });

  test('tells the others where it is, whatever comes of making the host ready, and that is tried again', async () => {
    await simulation.play({ does: 'start', node: 1 });
    const node = simulation.node(1);
    node.refusePrepare = 1;
    node.readdress(['192.0.2.77', '2001:db8::77']);
    await simulation.clock.advance(20_000);
    expect(simulation.leases.lease('node-1')?.attributes.publicIP).toBe('192.0.2.77');
    expect(node.prepared).toEqual(['eth0', 'eth0']);
  });

  test('is killed before it could save: what it finds in the kernel stays until the registry speaks', async () => {
    await simulation.play({ does: 'start', node: 1 });
    await simulation.play({ does: 'start', node: 2 }, true);
    await simulation.clock.advance(500);
    expect(simulation.node(1).state).not.toContain('node-2');
    await simulation.play({ does: 'kill', node: 1 }, true);
    await simulation.play({ does: 'away' }, true);
    await simulation.play({ does: 'start', node: 1 });
    expect(peersOf(1)).toEqual(['10.244.2.0/24']);
    await simulation.play({ does: 'leave', node: 2 });
    expect(peersOf(1)).toEqual(['10.244.2.0/24']);
    await simulation.play({ does: 'back' });
    expect(peersOf(1)).toEqual([]);
  });

  test('asks for its old subnet when its lease is gone', async () => {
    for (const node of [1, 2, 3]) await simulation.play({ does: 'start', node });
    await simulation.play({ does: 'leave', node: 2 });
    await simulation.play({ does: 'leave', node: 3 });
    await simulation.play({ does: 'start', node: 3 });
    expect(simulation.leases.lease('node-3')?.subnet).toBe(subnetOf(3));
  });

  const peersOf = (n: number): string[] =>
    simulation
      .node(n)
      .shown()
      .filter((line) => line.startsWith('route') && line.includes('flannel.1'))
      .map((line) => line.split(' ')[1] ?? '');
});

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

describe('the MAC of the device', () => {
  let simulation: Simulation;
  beforeEach(async () => {
    simulation = new Simulation();
    await simulation.play({ does: 'start', node: 1 });
    simulation.node(1).kill();
  });
  afterEach(() => simulation[Symbol.asyncDispose]());

  test.each(['03:00:00:00:00:01', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff'])(
    'is not the %s that the registry has',
    async (VtepMAC) => {
      const lease = simulation.leases.lease('node-1');
      if (lease === undefined) throw new Error('no lease');
      const attributes = { ...lease.attributes, backendData: { VNI: 1, VtepMAC } };
      simulation.leases.put('node-1', { lease: { ...lease, attributes } });
      await simulation.play({ does: 'replace', node: 1 });
      const made = simulation.node(1).kernel.linkNamed('flannel.1')?.IFLA_ADDRESS;
      expect(Number.parseInt(String(made), 16) & 3).toBe(2);
    },
  );
});

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

function scratch(): string {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-node-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }));
  return path.join(directory, 'leases');
}

/** Node number `n` of a vxlan. */
const leaseOf = (n: number): Lease => ({
  id: `node-${n}`,
  subnet: subnetOf(n),
  attributes: {
    publicIP: address(`192.0.2.${n}`),
    backendType: 'vxlan',
    backendData: { VNI: 1, VtepMAC: `02:00:00:00:00:0${n}` },
  },
});
