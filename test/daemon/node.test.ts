import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { DirectoryRegistry } from '../../src/lease/directory.ts';
import type { Lease } from '../../src/lease/lease.ts';
import { LeaseFiles } from '../../src/lease/lease-files.ts';
import { address } from '../../src/net/address.ts';
import { sleep, systemClock } from '../../src/world/clock.ts';
import { silentLog } from '../../src/world/log.ts';
import { subnetOf } from './shared-leases.ts';
import { Simulation, steps } from './simulation.ts';

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
    const { node, directory } = nodeWithDirectory();
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

  test.each([
    ['emptied', () => ''],
    ['cut off', (written: string) => written.slice(0, 20)],
    ['no JSON', () => 'no JSON'],
    ['overwritten', (written: string) => written.replace('192.0.2.1', '192.0.2.9')],
  ])('writes its own lease again when that is %s', async (_, spoilt) => {
    const { node, directory } = nodeWithDirectory();
    node.start();
    await simulation.clock.advance(2000);
    const file = path.join(directory, 'node-1.json');
    const written = fs.readFileSync(file, 'utf8');
    fs.writeFileSync(file, spoilt(written));
    // What the kernel announces takes real time.
    await sleep(systemClock, 50);
    await simulation.clock.advance(3000);
    expect(fs.readFileSync(file, 'utf8')).toBe(written);
  });

  test.each([
    ['what another node of its name wrote', (written: string) => written.replace('192.0.2.1', '192.0.2.9')],
    ['nothing', () => ''],
  ])('writes its own lease ever more slowly when it says %s again and again', async (_, spoilt) => {
    const { node, directory } = nodeWithDirectory();
    node.start();
    await simulation.clock.advance(2000);
    const file = path.join(directory, 'node-1.json');
    const other = spoilt(fs.readFileSync(file, 'utf8'));
    let restored = 0;
    for (let second = 0; second < 60; second++) {
      if (fs.readFileSync(file, 'utf8') !== other) {
        restored++;
        fs.writeFileSync(file, other);
        await sleep(systemClock, 50);
      }
      await simulation.clock.advance(1000);
    }
    expect(restored).toBeGreaterThan(3);
    expect(restored).toBeLessThan(9);
  });

  test('leaves an entry of its own that cannot be read to its registry', async () => {
    await simulation.play({ does: 'start', node: 1 });
    const node = simulation.node(1);
    const before = [...node.log];
    simulation.leases.put('node-1', { unreadable: 'its public address is none' });
    await simulation.clock.advance(20_000);
    expect([node.log, simulation.leases.lease('node-1')]).toEqual([before, undefined]);
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

  const nodeWithDirectory = () => {
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
        random: () => new Uint8Array(1),
        log: silentLog,
        knowsPeers: () => node.state?.includes('"node-2"') === true,
      });
    return { node, directory };
  };

  const peersOf = (n: number): string[] =>
    simulation
      .node(n)
      .shown()
      .filter((line) => line.startsWith('route') && line.includes('flannel.1'))
      .map((line) => line.split(' ')[1] ?? '');
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
