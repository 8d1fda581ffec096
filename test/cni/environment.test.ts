import { describe, expect, test } from 'vitest';
import { readEnvironment } from '../../src/cni/environment.ts';
import { refusal } from './refusal.ts';

const complete = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/c1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin:/usr/lib/cni',
};

describe('the environment', () => {
  test('is read', () => {
    expect(readEnvironment({ ...complete, CNI_ARGS: 'A=B' })).toEqual({
      command: 'ADD',
      containerID: 'c1',
      netns: '/run/netns/c1',
      ifname: 'eth0',
      args: 'A=B',
      path: ['/opt/cni/bin', '/usr/lib/cni'],
    });
  });

  test.each([
    ['ADD', 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH'],
    ['DEL', 'CNI_CONTAINERID,CNI_IFNAME,CNI_PATH'],
    ['CHECK', 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH'],
    ['GC', 'CNI_PATH'],
    ['STATUS', 'CNI_PATH'],
  ])('%s names all that is missing, in the order of the reference', (CNI_COMMAND, names) => {
    expect(refusal(() => readEnvironment({ CNI_COMMAND }))).toEqual({
      code: 4,
      msg: `required env variables [${names}] missing`,
    });
  });

  test('VERSION needs nothing', () => {
    expect(readEnvironment({ CNI_COMMAND: 'VERSION' }).command).toBe('VERSION');
  });

  test('an unknown verb is named', () => {
    expect(refusal(() => readEnvironment({ CNI_COMMAND: 'add' }))).toEqual({
      code: 4,
      msg: 'unknown CNI_COMMAND: add',
    });
  });

  test.each(['../c1', '-c1', 'c/1', 'c 1', 'c\n1', '.c'])('container ID %j is refused', (CNI_CONTAINERID) => {
    expect(refusal(() => readEnvironment({ ...complete, CNI_CONTAINERID }))).toEqual({
      code: 4,
      msg: 'invalid characters in containerID',
      details: CNI_CONTAINERID,
    });
  });

  test.each([
    ['0123456789abcdef', 'interface name is too long'],
    ['ääääääää', 'interface name is too long'],
    ['.', 'interface name is . or ..'],
    ['..', 'interface name is . or ..'],
    ['a/b', 'interface name contains / or : or whitespace characters'],
    ['a:b', 'interface name contains / or : or whitespace characters'],
    ['a b', 'interface name contains / or : or whitespace characters'],
    ['a\u00a0b', 'interface name contains / or : or whitespace characters'],
  ])('interface name %j is refused', (CNI_IFNAME, msg) => {
    expect(refusal(() => readEnvironment({ ...complete, CNI_IFNAME }))).toMatchObject({ code: 4, msg });
  });

  test.each(['eth%d', '%', 'all', 'default'])('%j is no name for a new interface', (CNI_IFNAME) => {
    const { code, msg } = refusal(() => readEnvironment({ ...complete, CNI_IFNAME }));
    expect({ code, msg }).toMatchObject({
      code: 4,
      msg: expect.stringContaining(`cannot be "${CNI_IFNAME}"`),
    });
    expect(readEnvironment({ ...complete, CNI_COMMAND: 'DEL', CNI_IFNAME }).ifname).toBe(CNI_IFNAME);
  });

  test('fifteen bytes of interface name are allowed', () => {
    expect(readEnvironment({ ...complete, CNI_IFNAME: '0123456789abcde' }).ifname).toBe('0123456789abcde');
  });

  test('what is invalid is said before what is missing', () => {
    const { msg } = refusal(() => readEnvironment({ CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'a/b' }));
    expect(msg).toBe('invalid characters in containerID');
  });

  test('a verb does not judge what it does not need', () => {
    expect(readEnvironment({ CNI_COMMAND: 'GC', CNI_PATH: '/x', CNI_IFNAME: 'a/b' }).command).toBe('GC');
  });
});
