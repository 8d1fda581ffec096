import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Result } from '../../src/cni/result.ts';
import type { Netns } from '../kit/netns.ts';
import { type Json, nothing, TestNode } from './test-node.ts';

describe('DEL takes everything away', () => {
  test('twice, and for what was never added', async () => {
    const node = new TestNode();
    const pod = node.pod();
    await node.ok('ADD', pod);
    await node.ok('DEL', pod);
    await node.ok('DEL', pod);
    await node.ok('DEL', pod, undefined, { CNI_CONTAINERID: 'never' });
    await node.ok('DEL', '', undefined, { CNI_CONTAINERID: 'never' });
    expect(await node.leftovers()).toEqual(nothing);
  });

  test.each([
    ['', 'empty'],
    ['/run/netns/fl-nothing-there', 'a path that is gone'],
    ['/etc/hostname', 'a plain file'],
  ])('when CNI_NETNS is %j: %s', async (netns) => {
    const node = new TestNode();
    const pod = node.pod();
    await node.ok('ADD', pod);
    await node.ok('DEL', netns);
    expect(await node.leftovers()).toEqual(nothing);
    expect(await pod.json('ip', 'link', 'show', 'type', 'veth')).toEqual([]);
  });

  test.each(['pod', 'nobody'])('when the node end has another name, and %s can be entered', async (who) => {
    const node = new TestNode();
    const pod = node.pod();
    await node.ok('ADD', pod);
    const [veth = ''] = await node.veths();
    await node.host.exec('ip', 'link', 'set', veth, 'name', 'web0');
    await node.ok('DEL', who === 'pod' ? pod : '');
    expect(await node.leftovers()).toEqual(nothing);
    expect(await pod.json('ip', 'link', 'show', 'type', 'veth')).toEqual([]);
  });

  test.each(['pod', 'nobody'])(
    'but a link that has got the name meanwhile, and %s can be entered',
    async (who) => {
      const node = new TestNode();
      const pod = node.pod();
      await node.ok('ADD', pod);
      const [veth = ''] = await node.veths();
      await node.host.exec('ip', 'link', 'set', veth, 'name', 'web0');
      await node.host.exec('ip', 'link', 'add', veth, 'type', 'veth', 'peer', 'name', 'other');
      await node.ok('DEL', who === 'pod' ? pod : '');
      expect((await node.veths()).toSorted()).toEqual(['other', veth].toSorted());
    },
  );

  test('with a prevResult that makes no sense', async () => {
    const node = new TestNode();
    const pod = node.pod();
    await node.ok('ADD', pod);
    await node.ok('DEL', pod, node.configuration({ prevResult: { cniVersion: '9.9.9', ips: 5 } }));
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('without a subnet file, and when the delegate cannot be understood any more', async () => {
    const node = new TestNode();
    const pod = node.pod();
    await node.ok('ADD', pod);
    fs.rmSync(node.subnetFile);
    await node.ok('DEL', pod, node.configuration({ delegate: { name: 5, mtu: 'big' } }));
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('when the configuration has relative paths now', async () => {
    const node = new TestNode();
    const pod = node.pod();
    await node.ok('ADD', pod);
    await node.ok('DEL', pod, node.configuration({ subnetFile: 'x', ipam: { dataDir: 'y' } }));
    expect(await node.leftovers()).toEqual(nothing);
    const relative = node.configuration({ dataDir: path.relative('/', node.states) });
    expect(await node.error('ADD', pod, relative)).toMatchObject({ code: 7 });
    await node.ok('ADD', pod);
    await node.ok('DEL', pod, relative);
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('when the node has another subnet now', async () => {
    const node = new TestNode();
    const pod = node.pod();
    await node.ok('ADD', pod);
    node.writeSubnet({ FLANNEL_SUBNET: '10.244.9.1/24', FLANNEL_IPV6_SUBNET: undefined });
    await node.ok('DEL', pod);
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('when the interface is gone already', async () => {
    const node = new TestNode();
    const pod = node.pod();
    await node.ok('ADD', pod);
    await pod.exec('ip', 'link', 'del', 'eth0');
    await node.ok('DEL', pod);
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('when somebody gave the node end another MAC', async () => {
    const node = new TestNode();
    await node.ok('ADD', node.pod());
    const [veth = ''] = await node.veths();
    await node.host.exec('ip', 'link', 'set', veth, 'address', '02:00:00:00:00:99');
    await node.ok('DEL', '');
    expect(await node.leftovers()).toEqual(nothing);
  });

  test.each([
    ['our record is lost', ['records']],
    ['our record is torn', ['torn']],
    ['the state file is lost', ['states']],
    ['both are lost', ['records', 'states']],
  ])('when %s', async (_, lost) => {
    const node = new TestNode();
    const pod = node.pod();
    await node.ok('ADD', pod);
    if (lost.includes('records')) fs.rmSync(node.records, { recursive: true });
    if (lost.includes('states')) fs.rmSync(node.states, { recursive: true });
    if (lost.includes('torn')) fs.truncateSync(path.join(node.records, 'c1:eth0'), 20);
    await node.ok('DEL', pod);
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('when a step of it fails, with the next DEL', async () => {
    let fails = false;
    const node = new TestNode();
    const { existingStore } = node.world;
    Object.assign(node.world, {
      existingStore: (directory: string) => {
        if (fails) throw new Error('the disc is read-only');
        return existingStore(directory);
      },
    });
    const pod = node.pod();
    await node.ok('ADD', pod);
    fails = true;
    expect((await node.error('DEL', pod)).msg).toContain('the disc is read-only');
    expect(await node.leftovers()).toMatchObject({ veths: [], states: ['c1'], records: ['c1:eth0'] });
    expect(node.reserved()).toHaveLength(2);
    fails = false;
    await node.ok('DEL', pod);
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('of two networks of one pod each by itself, whichever comes first', async () => {
    for (const order of [
      ['cbr0', 'other'],
      ['other', 'cbr0'],
    ]) {
      const node = new TestNode();
      const pod = node.pod();
      const other = node.configuration({
        name: 'other',
        delegate: { bridge: 'cni1', forceAddress: true, isDefaultGateway: false },
      });
      await node.ok('ADD', pod);
      await node.ok('ADD', pod, other, { CNI_IFNAME: 'net1' });
      for (const name of order) {
        if (name === 'cbr0') await node.ok('DEL', pod);
        else await node.ok('DEL', pod, other, { CNI_IFNAME: 'net1' });
        expect(await node.veths()).toHaveLength(name === order[0] ? 1 : 0);
      }
      expect(await node.leftovers()).toEqual(nothing);
      const left = fs
        .readdirSync(path.join(node.networks, 'other'))
        .filter((file) => /^[\da-f]+[.:]/.test(file));
      expect(left).toEqual([]);
    }
  });

  test('but not what is in the node itself', async () => {
    const node = new TestNode();
    expect(await node.error('DEL', node.host)).toMatchObject({ code: 8 });
  });

  test("and not another attachment's", async () => {
    const node = new TestNode();
    const [one, other] = [node.pod(), node.pod()];
    await node.ok('ADD', one);
    await node.ok('ADD', other, undefined, { CNI_CONTAINERID: 'c2' });
    await node.ok('DEL', one);
    expect(await node.leftovers()).toMatchObject({ states: ['c2'], records: ['c2:eth0'] });
    expect(await node.veths()).toHaveLength(1);
    await other.exec('ping', '-c1', '-W2', '10.244.1.1');
  });

  /** What a pod can make that may change its network: a link with the numbers of another pod's, both ends of it elsewhere. */
  async function forge(victim: Netns, pod: Netns, peer: readonly string[]) {
    const [own] = (await victim.json('ip', 'link', 'show', 'eth0')) as Json[];
    const { ifindex, link_index } = own as { ifindex: number; link_index: number };
    const pair = ['link', 'add', 'eth0', 'index', String(ifindex), 'type', 'veth'];
    const end = ['peer', 'name', 'n0', 'index', String(link_index), ...peer];
    await pod.exec('ip', ...pair, ...end);
  }

  test("and not another attachment's that the pod passes off as its own", async () => {
    const node = new TestNode();
    const [victim, pod] = [node.pod(), node.pod()];
    await node.ok('ADD', victim);
    await node.ok('ADD', pod, undefined, { CNI_CONTAINERID: 'c2' });
    await pod.exec('ip', 'link', 'del', 'eth0');
    await forge(victim, pod, []);
    await node.ok('DEL', pod, undefined, { CNI_CONTAINERID: 'c2' });
    expect(await pod.json('ip', 'link', 'show', 'type', 'veth')).toEqual([]);
    await victim.exec('ping', '-c1', '-W2', '10.244.1.1');
  });

  test("and not another attachment's when the pod was never added and its link leads to a third one", async () => {
    const node = new TestNode();
    const [victim, pod, third] = [node.pod(), node.pod(), node.pod()];
    await node.ok('ADD', victim);
    await forge(victim, pod, ['netns', third.path]);
    await node.ok('DEL', pod, undefined, { CNI_CONTAINERID: 'never' });
    expect(await third.json('ip', 'link', 'show', 'type', 'veth')).toEqual([]);
    await victim.exec('ping', '-c1', '-W2', '10.244.1.1');
  });

  test('an error never says what containerd takes for success', async () => {
    const node = new TestNode({
      existingStore: () => ({
        withLock: () => Promise.reject(new Error('x not found: no such file or directory')),
        usage: () => [],
        close() {},
      }),
    });
    expect((await node.error('DEL', '')).msg).toBe('x missing: there is no such file');
  });
});

describe("pods that Go's flannel added", () => {
  /** What is on a node after an ADD of Go's flannel with bridge and host-local: no record of ours. */
  async function addedByGo(node: TestNode, delegate?: Json) {
    const pod = node.pod();
    const configuration = delegate === undefined ? node.configuration() : node.delegate(delegate);
    const result = (await node.ok('ADD', pod, configuration)) as unknown as Result;
    fs.rmSync(path.dirname(node.records), { recursive: true });
    return { pod, result };
  }

  test('are deleted by their state file', async () => {
    const node = new TestNode();
    const { pod } = await addedByGo(node);
    await node.ok('DEL', pod, node.configuration({ ipam: {} }));
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('with their masquerade rules', async () => {
    const node = new TestNode();
    const { pod } = await addedByGo(node, { ipMasq: true });
    expect(await node.host.exec('iptables-save', '-t', 'nat')).toMatch(/10.244.1.2/);
    await node.ok('DEL', pod);
    expect(await node.host.exec('iptables-save', '-t', 'nat')).not.toMatch(/CNI-/);
    expect(await node.host.exec('ip6tables-save', '-t', 'nat')).not.toMatch(/CNI-/);
  });

  test('an address in the old format is released', async () => {
    const node = new TestNode();
    const pod = node.pod();
    fs.mkdirSync(node.addresses, { recursive: true });
    fs.writeFileSync(path.join(node.addresses, '10.244.1.7'), 'c1');
    await node.ok('DEL', pod);
    expect(node.reserved()).toEqual([]);
  });
});

describe('a delegate that is another plugin', () => {
  test('is run, and its state file tells DEL', async () => {
    const node = new TestNode();
    const directory = path.join(node.directory, 'bin');
    fs.mkdirSync(directory);
    const log = path.join(node.directory, 'log');
    const script = `#!/bin/sh\nread -r input\necho "$CNI_COMMAND $input" >> ${log}\n[ $CNI_COMMAND = ADD ] && echo '{"cniVersion":"1.1.0"}'\nexit 0\n`;
    fs.writeFileSync(path.join(directory, 'other'), script, { mode: 0o755 });
    const environment = { CNI_PATH: `/nowhere:${directory}` };
    const configuration = node.configuration({ delegate: { type: 'other' } });
    const pod = node.pod();
    expect(await node.ok('ADD', pod, configuration, environment)).toEqual({ cniVersion: '1.1.0' });
    expect(fs.readdirSync(node.states)).toEqual(['c1']);
    fs.rmSync(node.subnetFile);
    await node.ok('DEL', '', configuration, environment);
    expect(await node.leftovers()).toEqual(nothing);
    const calls = fs.readFileSync(log, 'utf8').trim().split('\n');
    expect(calls.map((line) => line.split(' ', 1)[0])).toEqual(['ADD', 'DEL']);
    const [added, deleted] = calls.map((line) => JSON.parse(line.slice(line.indexOf(' '))) as Json);
    expect(added).toMatchObject({ type: 'other', name: 'cbr0', mtu: 1450, ipam: { type: 'host-local' } });
    expect(deleted).toEqual(added);
  });

  test('whose error is answered as it is, after it was told to clean up', async () => {
    const node = new TestNode();
    const directory = path.join(node.directory, 'bin');
    fs.mkdirSync(directory);
    const log = path.join(node.directory, 'log');
    const script = `#!/bin/sh\necho $CNI_COMMAND >> ${log}\n[ $CNI_COMMAND = DEL ] && exit 0\necho '{"code":111,"msg":"no","details":"way"}'\nexit 1\n`;
    fs.writeFileSync(path.join(directory, 'other'), script, { mode: 0o755 });
    const configuration = node.configuration({ delegate: { type: 'other' } });
    const error = await node.error('ADD', node.pod(), configuration, { CNI_PATH: directory });
    expect(error).toMatchObject({ code: 111, msg: 'no', details: 'way' });
    expect(fs.readFileSync(log, 'utf8')).toBe('ADD\nDEL\n');
    expect(await node.leftovers()).toEqual(nothing);
  });

  test('whose DEL fails is told so, and asked again by the next DEL', async () => {
    const node = new TestNode();
    const [directory, log] = [path.join(node.directory, 'bin'), path.join(node.directory, 'log')];
    const answer = path.join(node.directory, 'answer');
    fs.mkdirSync(directory);
    const script = `#!/bin/sh\necho $CNI_COMMAND >> ${log}\ncat ${answer} 2>/dev/null && exit 1\necho '{"cniVersion":"1.1.0"}'\n`;
    fs.writeFileSync(path.join(directory, 'other'), script, { mode: 0o755 });
    const environment = { CNI_PATH: directory };
    const configuration = node.configuration({ delegate: { type: 'other' } });
    await node.ok('ADD', node.pod(), configuration, environment);
    fs.writeFileSync(answer, '{"code":111,"msg":"not now"}');
    expect(await node.error('DEL', '', configuration, environment)).toMatchObject({ msg: 'not now' });
    expect(fs.readdirSync(node.states)).toEqual(['c1']);
    fs.rmSync(answer);
    await node.ok('DEL', '', configuration, environment);
    expect(await node.leftovers()).toEqual(nothing);
    expect(fs.readFileSync(log, 'utf8')).toBe('ADD\nDEL\nDEL\n');
  });

  test.each(['nosuch', '../bridge'])(
    '%j that is not installed is refused before anything is written',
    async (type) => {
      const node = new TestNode();
      const { code } = await node.error('ADD', node.pod(), node.configuration({ delegate: { type } }));
      expect(code).toBe(7);
      expect(await node.leftovers()).toEqual(nothing);
    },
  );
});
