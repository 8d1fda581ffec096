import { describe, expect, test } from 'vitest';
import { type Given, givenPeer, type GivenPeers } from '../../src/backend/extension.ts';
import { extensionOptions } from '../../src/backend/extension-options.ts';
import type { CommandOutcome } from '../../src/daemon/devices/command.ts';
import { Extension } from '../../src/daemon/devices/extension.ts';
import { prefix } from '../../src/net/prefix.ts';
import { silentLog } from '../../src/world/log.ts';
import { peer } from '../backend/nodes.ts';
import { idle, VirtualClock } from '../kit/virtual-clock.ts';

const network = { ipv4: prefix('10.244.0.0/16') };
const own = peer(1).lease;
const node = (n: number, data = `data-${n}`) =>
  peer(n, { backendType: 'extension', backendData: data }).lease;

/** Commands that are written down instead of run, and what is remembered from one start to the next. */
class Shell {
  readonly clock = new VirtualClock();
  ran: string[] = [];
  fails = new Map<string, CommandOutcome>();
  /** Commands that take until these resolve. */
  waits = new Map<string, Promise<void>>();
  memory: GivenPeers = new Map();

  start(commands: Record<string, string> = {}): Extension {
    const options = extensionOptions({ SubnetAddCommand: 'add', SubnetRemoveCommand: 'remove', ...commands });
    return new Extension(options, network, {
      run: async (line, { environment, input }) => {
        const what = `${line} ${environment['SUBNET'] ?? ''} ${input}`.trim();
        this.ran.push(what);
        await this.waits.get(line);
        return this.fails.get(line) ?? this.fails.get(what) ?? { output: `${line} was here` };
      },
      memory: {
        load: () => this.memory,
        save: (added) => {
          this.memory = new Map<string, Given>(added);
        },
      },
      clock: this.clock,
      log: silentLog,
    });
  }

  async after(work: () => unknown): Promise<string[]> {
    this.ran = [];
    await work();
    await idle();
    return this.ran;
  }
}

describe('commands of the extension backend', () => {
  test('run once for a peer that comes, changes and goes', async () => {
    const shell = new Shell();
    const extension = shell.start();
    extension.keep([node(2)], false);
    // Not before this node has its lease.
    expect(await shell.after(() => {})).toEqual([]);
    expect(await shell.after(() => extension.begin(own))).toEqual(['add 10.244.2.0/24 data-2']);
    expect(await shell.after(() => extension.keep([node(2)], true))).toEqual([]);
    expect(await shell.after(() => extension.keep([node(2), node(3)], true))).toEqual([
      'add 10.244.3.0/24 data-3',
    ]);
    expect(await shell.after(() => extension.keep([node(2, 'new'), node(3)], true))).toEqual([
      'remove 10.244.2.0/24 data-2',
      'add 10.244.2.0/24 new',
    ]);
    expect(await shell.after(() => extension.keep([node(3)], true))).toEqual(['remove 10.244.2.0/24 new']);
  });

  test('after a restart run for those alone that came or went meanwhile', async () => {
    const shell = new Shell();
    const first = shell.start();
    first.keep([node(2), node(3)], true);
    await shell.after(() => first.begin(own));
    await first.stop();
    const second = shell.start();
    expect(await shell.after(() => second.begin(own))).toEqual([]);
    // The registry has not told everything yet: nobody is taken for gone.
    expect(await shell.after(() => second.keep([node(3)], false))).toEqual([]);
    expect(await shell.after(() => second.keep([node(3), node(4)], true))).toEqual([
      'remove 10.244.2.0/24 data-2',
      'add 10.244.4.0/24 data-4',
    ]);
  });

  test('with startup commands, which may make the node’s side anew, add everybody anew', async () => {
    const shell = new Shell();
    const commands = { PostStartupCommand: 'post', PreStartupCommand: 'pre' };
    const first = shell.start(commands);
    first.keep([node(2), node(3)], true);
    await first.prepare();
    await shell.after(() => first.begin(own));
    const second = shell.start(commands);
    await second.prepare();
    expect(second.data).toBe('pre was here');
    expect(await shell.after(() => second.begin(own))).toEqual(['post 10.244.1.0/24']);
    expect(await shell.after(() => second.keep([node(3)], true))).toEqual([
      'remove 10.244.2.0/24 data-2',
      'add 10.244.3.0/24 data-3',
    ]);
  });

  test('of peers wait for PostStartupCommand, and for who was added before', async () => {
    const shell = new Shell();
    const post = Promise.withResolvers<void>();
    shell.waits.set('post', post.promise);
    shell.memory = new Map([['node-9', givenPeer(node(9))]]);
    const extension = shell.start({ PostStartupCommand: 'post' });
    expect(await shell.after(() => void extension.begin(own))).toEqual(['post 10.244.1.0/24']);
    expect(await shell.after(() => extension.keep([node(2)], true))).toEqual([]);
    expect(await shell.after(() => post.resolve())).toEqual([
      'remove 10.244.9.0/24 data-9',
      'add 10.244.2.0/24 data-2',
    ]);
    expect([...shell.memory.keys()]).toEqual(['node-2']);
  });

  test('that fail are named, tried again, and delay no other peer', async () => {
    const shell = new Shell();
    const extension = shell.start();
    await extension.begin(own);
    shell.fails.set('add 10.244.2.0/24 data-2', {
      output: 'first\nno such thing',
      failure: 'it ended with 2',
    });
    const twice = ['add 10.244.2.0/24 data-2', 'remove 10.244.2.0/24 data-2'];
    // At once a second time: what the first left behind is out of its way.
    expect(await shell.after(() => extension.keep([node(2), node(3)], true))).toEqual([
      ...twice,
      ...twice,
      'add 10.244.3.0/24 data-3',
    ]);
    expect(extension.refusals).toEqual([
      {
        id: 'node-2',
        reason: 'net-conf.json: Backend.SubnetAddCommand failed: it ended with 2; it said "no such thing"',
      },
    ]);
    expect([...shell.memory.keys()]).toEqual(['node-3']);
    // 1 + 2 + 4 s
    expect(await shell.after(() => shell.clock.advance(7500))).toHaveLength(6);
    shell.fails.clear();
    expect(await shell.after(() => shell.clock.advance(60_000))).toHaveLength(1);
    expect(extension.refusals).toEqual([]);
  });

  test('that cannot take leave of a peer are given up', async () => {
    const shell = new Shell();
    const extension = shell.start();
    extension.keep([node(2)], true);
    await extension.begin(own);
    await idle();
    shell.fails.set('remove', { output: '', failure: 'it ended with 1' });
    expect(await shell.after(() => extension.keep([], true))).toHaveLength(2);
    expect(extension.refusals).toHaveLength(1);
    expect(await shell.after(() => shell.clock.advance(3_600_000))).toHaveLength(1);
    expect(extension.refusals).toEqual([]);
    expect(shell.memory.size).toBe(0);
  });

  test.each(['PreStartupCommand', 'PostStartupCommand'])('%s that fails ends the start', async (key) => {
    const shell = new Shell();
    shell.fails.set('x', { output: '', failure: 'it ended with 3' });
    const extension = shell.start({ [key]: 'x' });
    const start = async () => {
      await extension.prepare();
      await extension.begin(own);
    };
    await expect(start()).rejects.toThrow(`Backend.${key} failed: it ended with 3`);
  });

  test('ShutdownCommand takes everything down: everybody is new afterwards', async () => {
    const shell = new Shell();
    const commands = { ShutdownCommand: 'down' };
    const first = shell.start(commands);
    first.keep([node(2)], true);
    await first.begin(own);
    await idle();
    expect(await shell.after(() => first.stop())).toEqual(['down 10.244.1.0/24']);
    const second = shell.start(commands);
    second.keep([node(2)], true);
    expect(await shell.after(() => second.begin(own))).toEqual(['add 10.244.2.0/24 data-2']);
  });

  test('ShutdownCommand waits until an add that fails meanwhile is taken back', async () => {
    const shell = new Shell();
    const [add, remove] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    shell.waits.set('add', add.promise).set('remove', remove.promise);
    shell.fails.set('add', { output: '', failure: 'it ended with 1' });
    const extension = shell.start({ ShutdownCommand: 'down' });
    extension.keep([node(2), node(3)], true);
    expect(await shell.after(() => extension.begin(own))).toEqual(['add 10.244.2.0/24 data-2']);
    const stopped = extension.stop();
    expect(await shell.after(() => add.resolve())).toEqual(['remove 10.244.2.0/24 data-2']);
    expect(await shell.after(() => remove.resolve())).toEqual(['down 10.244.1.0/24']);
    await stopped;
    expect(shell.memory.size).toBe(0);
  });

  test('ShutdownCommand gets the lease that the node has then', async () => {
    const shell = new Shell();
    const extension = shell.start({ ShutdownCommand: 'down' });
    await extension.begin(own);
    extension.renew(node(7));
    expect(await shell.after(() => extension.stop())).toEqual(['down 10.244.7.0/24']);
  });
});
