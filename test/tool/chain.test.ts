import fs from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { buildRequest, type Call, runChain } from '../../src/tool/chain.ts';
import { difference } from '../../src/tool/kernel-view.ts';
import { checkLabName, Layout } from '../../src/tool/lab/layout.ts';
import { compareVersions, readNetworkList } from '../../src/tool/network-list.ts';
import { milliseconds } from '../../src/tool/print.ts';
import { table } from '../../src/tool/table.ts';

function scratch(): string {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'fl-tool-'));
  onTestFinished(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function conflist(content: unknown): string {
  const file = path.join(scratch(), '10-x.conflist');
  fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

const plugin = { type: 'a' };

describe('a network configuration', () => {
  test.each([
    [{ name: 'n', cniVersion: '1.0.0', cniVersions: ['1.0.0', '1.1.0'], plugins: [plugin] }, '1.1.0'],
    [{ name: 'n', cniVersions: ['0.4.0', '9.0.0'], plugins: [plugin] }, '0.4.0'],
    [{ name: 'n', plugins: [plugin] }, '0.1.0'],
    [{ name: 'n', cniVersion: '0.3.1', type: 'a' }, '0.3.1'],
  ])('speaks the highest version that both know', (content, cniVersion) => {
    expect(readNetworkList(conflist(content))).toMatchObject({
      name: 'n',
      cniVersion,
      plugins: [{ type: 'a' }],
    });
  });

  test.each([
    ['{', /is not JSON/],
    ['[]', /does not hold a JSON object/],
    ['{"plugins":[{"type":"a"}]}', /"name" is missing/],
    ['{"name":"n","plugins":[]}', /"plugins" is empty/],
    ['{"name":"n","plugins":[{}]}', /plugins\[0\]: "type" is missing/],
    ['{"name":"n","cniVersion":"2.0.0","plugins":[{"type":"a"}]}', /2\.0\.0 is newer than 1\.1\.0/],
  ])('%s is refused by file and reason', (text, reason) => {
    const file = conflist(text);
    expect(() => readNetworkList(file)).toThrow(reason);
    expect(() => readNetworkList(file)).toThrow(file);
  });

  test('of a directory is its first one', () => {
    const directory = path.dirname(conflist({ name: 'n', plugins: [plugin] }));
    expect(readNetworkList(directory).name).toBe('n');
    expect(() => readNetworkList(scratch())).toThrow(/no network configuration/);
  });

  test('versions sort by number', () => {
    expect(['1.10.0', '1.9.0', '1.0.0'].toSorted(compareVersions)).toEqual(['1.0.0', '1.9.0', '1.10.0']);
  });
});

describe('a chain', () => {
  const call = (types: string[], changes: Partial<Call> = {}): Call => ({
    list: { file: 'f', name: 'n', cniVersion: '1.0.0', plugins: types.map((type) => ({ type })) },
    cniPath: changes.cniPath ?? '',
    containerId: 'c',
    netns: '/ns',
    ifname: 'eth0',
    args: '',
    capabilityArgs: {},
    ...changes,
  });
  /** Plugins that answer with their name and what they were asked. */
  const plugins = (...names: string[]): string => {
    const directory = scratch();
    for (const name of names) {
      const fails = name === 'bad' ? 'echo "{\\"code\\":7,\\"msg\\":\\"no\\"}"; exit 1' : 'cat';
      fs.writeFileSync(path.join(directory, name), `#!/bin/sh\n${fails}\n`, { mode: 0o755 });
    }
    return directory;
  };

  test('gives each plugin the result of the one before', async () => {
    const outcome = await runChain('ADD', call(['one', 'two'], { cniPath: plugins('one', 'two') }), () => {});
    expect(outcome.result).toMatchObject({ type: 'two', prevResult: { type: 'one', name: 'n' } });
  });

  test('runs DEL backwards, and ends at the first that fails', async () => {
    const order = async (verb: 'DEL' | 'ADD' | 'GC', types: string[]) => {
      const seen: string[] = [];
      const { failed } = await runChain(
        verb,
        call(types, { cniPath: plugins('one', 'bad', 'two') }),
        (run) => {
          seen.push(run.type);
        },
      );
      return [failed, ...seen];
    };
    expect(await order('DEL', ['one', 'two'])).toEqual([false, 'two', 'one']);
    expect(await order('ADD', ['one', 'bad', 'two'])).toEqual([true, 'one', 'bad']);
    expect(await order('GC', ['one', 'bad', 'two'])).toEqual([true, 'one', 'bad', 'two']);
  });

  test('finds every plugin before it runs any', async () => {
    const seen: string[] = [];
    const run = runChain('ADD', call(['one', 'none'], { cniPath: plugins('one') }), ({ type }) => {
      seen.push(type);
    });
    await expect(run).rejects.toThrow(/there is no plugin "none"/);
    expect(seen).toEqual([]);
  });

  test('refuses one that nobody may run before it runs any', async () => {
    const cniPath = plugins('one', 'two');
    fs.chmodSync(path.join(cniPath, 'two'), 0o644);
    const seen: string[] = [];
    const run = runChain('ADD', call(['one', 'two'], { cniPath }), ({ type }) => {
      seen.push(type);
    });
    await expect(run).rejects.toThrow(/two is not executable/);
    expect(seen).toEqual([]);
  });

  test('ends at one that cannot be started, as at one that fails: those before it are to be undone', async () => {
    const cniPath = plugins('one', 'two');
    fs.writeFileSync(path.join(cniPath, 'two'), '#!/none/such\n');
    const outcome = await runChain('ADD', call(['one', 'two'], { cniPath }), () => {});
    expect(outcome.failed).toBe(true);
    expect(outcome.runs).toMatchObject([
      { type: 'one', status: 0 },
      { type: 'two', status: 127, reply: { msg: expect.stringContaining('cannot run') } },
    ]);
  });

  test('a request holds what the capability asks for, and GC its list under both names', () => {
    const list = call(['a'], { capabilityArgs: { portMappings: [1], mac: 'x' } });
    const declared = { type: 'a', capabilities: { portMappings: true, bandwidth: true } };
    expect(buildRequest('ADD', list, declared, undefined)).toMatchObject({
      runtimeConfig: { portMappings: [1] },
    });
    const valid = [{ containerID: 'c', ifname: 'eth0' }];
    expect(buildRequest('GC', { ...list, validAttachments: valid }, declared, undefined)).toMatchObject({
      'cni.dev/valid-attachments': valid,
      'cni.dev/attachments': valid,
    });
  });
});

describe('what a person sees', () => {
  test('a table is aligned and has no trailing blanks', () => {
    expect(
      table(
        ['A', 'LONG'],
        [
          ['x', 'y'],
          ['longer', ''],
        ],
      ),
    ).toBe('A       LONG\nx       y\nlonger');
  });

  test('a difference says what is gone and what is new', () => {
    expect(difference(['a', 'b'], ['b', 'c'])).toEqual(['- a', '+ c']);
  });

  test('times have as many figures as they deserve', () => {
    expect([1.234, 12.34, 1234].map(milliseconds)).toEqual(['1.2 ms', '12 ms', '1.2 s']);
  });
});

describe('a lab', () => {
  test('names everything after itself', () => {
    const lab = new Layout({ name: 'x', nodes: 2, family: 'dual', backend: 'vxlan', pods: 1 });
    expect(lab.nodes.map(({ netns }) => netns)).toEqual(['fl-lab-x-node-1', 'fl-lab-x-node-2']);
    expect(lab.nodes[1]?.addresses.map(({ address }) => address)).toEqual(['192.0.2.2/24', '2001:db8::2/64']);
    expect(lab.nodes[0]?.pods.map(({ name }) => name)).toEqual(['node-1/pod-1']);
  });

  test.each(['', 'A', '../x', 'x'.repeat(21), '-x'])('has no name like %j', (name) => {
    expect(() => checkLabName(name)).toThrow(/--name/);
  });
});
