import { describe, expect, test } from 'vitest';
import { AHEAD, ahead, type Conversation, REPLY, reply } from './fake-daemon.ts';
import { beginning, execute, launcherScene, type Outcome, type Talk } from './launcher-scene.ts';
import { cpuOf, cpusGiven, cpusIn } from './proc.ts';

const { launcher, socket, withDaemon } = launcherScene();

/** Hands nothing out, from this CPU, and answers which ones the launcher may use when it has heard of it. */
async function givenAfter(conversation: Conversation, cpu: number): Promise<number[]> {
  await conversation.send(AHEAD, ahead(Buffer.alloc(0), cpu));
  await conversation.handOut();
  return cpusGiven(conversation.pid);
}

const without = (cpus: readonly number[], cpu: number) => cpus.filter((other) => other !== cpu);

/**
 * Comes from another CPU than the launcher's and from its own in turn, until it leaves one: the kernel may send it elsewhere
 * each time that it wakes up. Answers which one it left, and how often it stayed before that.
 */
async function driveAway(conversation: Conversation): Promise<{ left: number; stayed: number }> {
  const given = cpusGiven(conversation.pid);
  for (let stayed = 0; stayed < 1000; stayed++) {
    const asleepOn = cpuOf(conversation.pid);
    const [elsewhere = asleepOn] = without(given, asleepOn);
    const cpu = stayed % 2 === 0 ? elsewhere : asleepOn;
    const now = await givenAfter(conversation, cpu);
    if (now.length === given.length) continue;
    expect(now).toEqual(without(given, cpu));
    return { left: cpu, stayed };
  }
  throw new Error('the launcher is never where the daemon is');
}

const own = cpusGiven('self');
const oneCpu = 'this machine has one CPU, which nobody can leave';

/** A launcher that is started with these CPUs, and how it ended. */
function launchOn(cpus: readonly number[], command: string, talk: Talk): Promise<Outcome> {
  const ALSO_TELL = "sed -n 's/Cpus_allowed_list:.//p' /proc/self/status";
  const env = { PATH: '/usr/bin:/bin', FLANNELD_SOCKET: socket, CNI_COMMAND: command, ALSO_TELL };
  return withDaemon(beginning(talk), () => execute(['taskset', '-c', cpus.join(','), launcher], env, '{}'));
}

describe('a launcher whose daemon works on', () => {
  test('leaves the CPU of the daemon when it is on it, and only then', async (context) => {
    if (own.length < 2) context.skip(oneCpu);
    const stayed: number[] = [];
    while (stayed.length < 50 && !stayed.some((times) => times > 0))
      await launchOn(own, 'ADD', async (conversation) => {
        const drive = await driveAway(conversation);
        expect(cpuOf(conversation.pid)).not.toBe(drive.left);
        stayed.push(drive.stayed);
        await conversation.send(REPLY, reply(0, ''));
      });
    expect(Math.max(...stayed)).toBeGreaterThan(0);
  });

  test('leaves one, and no other after that', async (context) => {
    if (own.length < 2) context.skip(oneCpu);
    let before: number[] = [];
    const after: number[][] = [];
    await launchOn(own, 'ADD', async (conversation) => {
      const { left } = await driveAway(conversation);
      before = without(own, left);
      for (const cpu of own) after.push(await givenAfter(conversation, cpu));
      await conversation.send(REPLY, reply(0, ''));
    });
    expect(after).toEqual(own.map(() => before));
  });

  test('stays on the only one that it was given', async () => {
    const only = own[0] ?? 0;
    let after: number[] = [];
    await launchOn([only], 'ADD', async (conversation) => {
      after = await givenAfter(conversation, only);
      await conversation.send(REPLY, reply(0, ''));
    });
    expect(after).toEqual([only]);
  });

  test('leaves none for a daemon on a CPU that there is not, or that does not know its own', async () => {
    const unknown = [0x80000000, 0xffffffda, 0xffffffff]; // -ENOSYS and others
    const none = [1024, 1 << 20, 0x7fffffff, ...unknown];
    const after: number[][] = [];
    await launchOn(own, 'ADD', async (conversation) => {
      for (const cpu of none) after.push(await givenAfter(conversation, cpu));
      await conversation.send(REPLY, reply(0, ''));
    });
    expect(after).toEqual(none.map(() => own));
  });

  test('gives the stand-alone program all the CPUs that it was given itself', async (context) => {
    if (own.length < 2) context.skip(oneCpu);
    const two = own.slice(0, 2);
    const outcome = await launchOn(two, 'DEL', async (conversation) => {
      await driveAway(conversation);
      for (const cpu of two) await givenAfter(conversation, cpu);
      conversation.close();
    });
    const [first, cpus = ''] = outcome.stdout.split('\n');
    expect(first).toBe(`stand-alone flannel.cjs 1 2 DEL ${socket}`);
    expect(cpusIn(cpus)).toEqual(two);
  });
});
