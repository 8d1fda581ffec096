import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { shellCommand } from '../../src/daemon/devices/command.ts';
import { Cluster, type Family, until } from './cluster.ts';

describe('a command', () => {
  const run = shellCommand({ PATH: process.env['PATH'], WHO: 'flanneld' });
  const given = { environment: { SUBNET: '10.244.2.0/24' }, input: 'data\n', limit: 10_000 };

  test('gets variables and input, and what it prints is kept, both ways', async () => {
    const line = 'read data; echo " $WHO $SUBNET"; echo "$data" >&2';
    expect(await run(line, given)).toEqual({ output: 'flanneld 10.244.2.0/24\ndata' });
  });

  test('is never made of what a peer says', async () => {
    const mark = path.join(tmpdir(), `fl-mark-${process.pid}`);
    const evil = `$(touch ${mark}); \`touch ${mark}\`; '; touch ${mark}; "`;
    const { output } = await run('read -r data; printf "%s" "$data $SUBNET"', {
      ...given,
      environment: { SUBNET: evil },
      input: `${evil}\n`,
    });
    expect(output).toBe(`${evil} ${evil}`);
    expect(fs.existsSync(mark)).toBe(false);
  });

  test.each([
    ['exit 3', 'it ended with 3'],
    ['kill -9 $$', 'it ended with SIGKILL'],
    ['no-such-command', 'it ended with 127'],
  ])('%s fails with a reason', async (line, failure) => {
    expect(await run(line, given)).toMatchObject({ failure });
  });

  test('that does not end is killed, with all that it started', async () => {
    const { failure, output } = await run('sleep 1000 & echo $!; wait', { ...given, limit: 300 });
    expect(failure).toBe('it was not done after 0.3 s, and was killed');
    await until(() => !fs.existsSync(`/proc/${output}`) || isZombie(output));
  });

  test('is done when it ends, whatever it leaves running', async () => {
    const { output, failure } = await run('sleep 20 & echo $!', given);
    expect(failure).toBeUndefined();
    process.kill(Number(output));
  });

  const isZombie = (pid: string) => fs.readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
});

describe('nodes that commands join', () => {
  let cluster: Cluster;
  afterEach(() => cluster.stop());

  /** As flannel's documents do it: not made for being run twice. */
  async function start(family: Family, more: Record<string, string> = {}): Promise<void> {
    cluster = await Cluster.start(family, 2);
    const note = `echo "$SUBNET$IPV6SUBNET $data" >>${cluster.file('notes')}`;
    const ipv4 = 'ip route add $SUBNET via $PUBLIC_IP';
    const ipv6 = 'ip -6 route add $IPV6SUBNET via $PUBLIC_IPV6';
    const both = { v4: ipv4, v6: ipv6, dual: `${ipv4} && ${ipv6}` }[family];
    cluster.useBackend({
      Type: 'extension',
      SubnetAddCommand: `read data; ${both} && ${note}`,
      SubnetRemoveCommand: both.replaceAll('route add', 'route del'),
      ...more,
    });
    await runBoth();
    for (const i of [0, 1]) await cluster.addPodAddress(i);
  }

  async function runBoth(): Promise<void> {
    await cluster.run(0);
    await cluster.run(1);
  }

  const routes = async () => (await cluster.traces(0)).routes;

  test.each<[Family, (4 | 6)[]]>([
    ['v4', [4]],
    ['v6', [6]],
    ['dual', [4, 6]],
  ])('reach each other, %s; a restart runs nothing twice', async (family, families) => {
    await start(family);
    for (const each of families) await until(() => cluster.reachesPod(0, 1, each));
    for (const i of [0, 1]) await cluster.end(i, i === 0 ? 'SIGTERM' : 'SIGKILL');
    await runBoth();
    for (const each of families) expect(await cluster.reachesPod(0, 1, each)).toBe(true);
    expect(await routes()).toEqual(families.map(() => 'eth0'));
    // One line for each node's one peer.
    expect(fs.readFileSync(cluster.file('notes'), 'utf8').trim().split('\n')).toHaveLength(2);
    for (const i of [0, 1]) expect(cluster.logs.get(i)).not.toContain('failed');
  });

  test('what the startup command prints reaches the peers; a peer that left meanwhile is removed', async () => {
    const mac = 'cat /sys/class/net/eth0/address; echo second line >&2';
    await start('v4', { PreStartupCommand: mac, PostStartupCommand: 'ip link set lo up' });
    await until(() => cluster.reachesPod(0, 1, 4));
    const document = JSON.parse(fs.readFileSync(cluster.file('leases/node-1.json'), 'utf8')) as object;
    expect(document).toMatchObject({
      BackendType: 'extension',
      BackendData: expect.stringMatching(/^..:..:..:..:..:..\nsecond line$/) as string,
    });
    // The startup commands may have made everything anew, so peers are added again, though one command is in its own way.
    await cluster.end(0, 'SIGTERM');
    await cluster.run(0);
    await until(() => cluster.reachesPod(0, 1, 4));
    await cluster.end(0, 'SIGKILL');
    // While it runs it would take its lease again.
    await cluster.end(1, 'SIGTERM');
    fs.rmSync(cluster.file('leases/node-1.json'));
    await cluster.run(0);
    await until(async () => (await routes()).length === 0);
  });

  test('a command that fails is named with its peer, and no other node waits', async () => {
    await start('v4', { SubnetAddCommand: 'echo no way >&2; exit 7', SubnetRemoveCommand: 'false' });
    const line = 'Backend.SubnetAddCommand failed: it ended with 7; it said \\"no way\\"';
    await until(() => cluster.logs.get(0)?.includes(line) === true);
    expect(await cluster.end(0, 'SIGTERM')).toBe(0);
  });

  test('a startup command that fails ends flanneld with a sentence', async () => {
    cluster = await Cluster.start('v4', 1);
    cluster.useBackend({ Type: 'extension', PreStartupCommand: 'echo bad luck; false' });
    expect(cluster.refused(cluster.args(0))).toEqual({
      status: 1,
      says: 'flanneld: net-conf.json: Backend.PreStartupCommand failed: it ended with 1; it said "bad luck"',
    });
  });

  test('the shutdown command runs at a clean end', async () => {
    cluster = await Cluster.start('v4', 1);
    cluster.useBackend({ Type: 'extension', ShutdownCommand: `echo "$SUBNET" >${cluster.file('down')}` });
    await cluster.run(0);
    expect(await cluster.end(0, 'SIGTERM')).toBe(0);
    expect(fs.readFileSync(cluster.file('down'), 'utf8').trim()).toBe(`${cluster.device(0, 4)}/24`);
  });
});
