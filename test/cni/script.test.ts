import { expect, test } from 'vitest';
import type { Step } from '../../src/cni/attachment/step.ts';
import { StepError } from '../../src/cni/attachment/link.ts';
import { explain } from '../../src/cni/attachment/refusal.ts';
import { Script } from '../../src/cni/launcher/script.ts';
import { SysctlError, type Task } from '../../src/cni/attachment/task.ts';
import { type Address, parseAddress } from '../../src/net/address.ts';
import * as k from '../../src/netlink/constants.ts';

const address = (text: string) => parseAddress(text) as Address;
const sysctl = {
  where: 'host',
  path: 'net/ipv4/ip_forward',
  value: '1',
  required: true,
} as const;
const up: Step = { message: 'setLink', value: { ifi_index: 7, ifi_flags: k.IFF_UP, ifi_change: k.IFF_UP } };
const route = (RTA_OIF: number): Step => ({
  message: 'newRoute',
  flags: k.NLM_F_CREATE,
  value: { rtm_family: k.AF_INET, rtm_dst_len: 16, RTA_DST: address('10.244.0.0'), RTA_OIF },
});
const none = Buffer.alloc(0);

test('a sysctl is place, required, path, value', () => {
  const other = { ...sysctl, where: 'pod', path: 'net/x', required: false } as const;
  const tasks = [sysctl, other].map((each) => ({ task: 'sysctl', sysctl: each }) as const);
  expect(new Script(tasks).bytes.toString('latin1')).toBe('sh\x01net/ipv4/ip_forward\x001\0sp\0net/x\x001\0');
});

test('a step is place, what is tolerated, where the index goes, and a whole message', () => {
  const step: Step = {
    message: 'delNeighbour',
    tolerate: 'ENOENT',
    value: { ndm_family: k.AF_INET, ndm_ifindex: 3, NDA_DST: address('10.244.1.2') },
  };
  const { bytes } = new Script([{ task: 'steps', where: 'host', steps: [step] }]);
  expect(bytes.toString('latin1', 0, 2)).toBe('mh');
  expect([2, 6, 10].map((at) => bytes.readUInt32LE(at))).toEqual([2, 0, bytes.length - 14]);
  const message = bytes.subarray(14);
  expect(message.readUInt32LE(0)).toBe(message.length);
  expect(message.readUInt16LE(4)).toBe(k.RTM_DELNEIGH);
  expect(message.readUInt16LE(6)).toBe(k.NLM_F_REQUEST | k.NLM_F_ACK);
});

test('steps on a link have a place for its index, and it is where the index stands', () => {
  const steps = (ifindex: number): Step[] => [
    { ...up, value: { ...up.value, ifi_index: ifindex } },
    route(ifindex),
  ];
  const at = (ifindex: number) => {
    const task: Task = { task: 'stepsOn', where: 'pod', link: 'eth0', steps: () => steps(ifindex) };
    return new Script([task]).bytes;
  };
  const bytes = at(0x01020304);
  expect(bytes.toString('latin1', 0, 7)).toBe('lpeth0\0');
  for (let start = 7; start < bytes.length; ) {
    const place = bytes.readUInt32LE(start + 6);
    expect(bytes.readUInt32LE(start + 14 + place)).toBe(0x01020304);
    start += 14 + bytes.readUInt32LE(start + 10);
  }
});

test('what was not done is told by its line: a sysctl, a link, a step with the words of the kernel', () => {
  const script = new Script([
    { task: 'sysctl', sysctl },
    { task: 'stepsOn', where: 'pod', link: 'eth0', steps: () => [up] },
  ]);
  expect(script.outcome(0, 13, none)).toMatchObject({ errno: 13, sysctl });
  expect(script.outcome(0, 13, none)).toBeInstanceOf(SysctlError);
  expect(script.outcome(1, 19, none)?.message).toBe('the link eth0 vanished while it was set up');
  const refused = script.outcome(2, 1, none);
  expect(refused).toBeInstanceOf(StepError);
  expect(refused?.message).toBe('RTM_SETLINK: EPERM (operation not permitted)');
  const answer = Buffer.alloc(20);
  answer.writeUInt32LE(20, 0);
  answer.writeUInt16LE(k.NLMSG_ERROR, 4);
  answer.writeInt32LE(-17, 16);
  expect(script.outcome(2, 1, answer)?.message).toBe('RTM_SETLINK: EEXIST (file already exists)');
  expect(script.outcome(3, 0, none)).toBeUndefined();
});

test('names are UTF-8, as in the messages', () => {
  const named = { ...sysctl, path: 'net/ipv6/conf/cniĀ0/accept_ra' };
  const { bytes } = new Script([{ task: 'sysctl', sysctl: named }]);
  expect(bytes.toString('utf8')).toBe('sh\x01net/ipv6/conf/cniĀ0/accept_ra\x001\0');
});

test('an error names the link, which has no index yet, and says of a search what went wrong', () => {
  const vlan: Step = { message: 'setLink', value: { ifi_family: k.AF_BRIDGE, ifi_index: 0 } };
  const script = new Script([
    { task: 'stepsOn', where: 'host', link: 'veth1', steps: () => [vlan] },
    { task: 'stepsOn', where: 'pod', link: 'eth0', steps: () => [up] },
  ]);
  const said = (line: number, errno: number) =>
    (explain(script.outcome(line, errno, none), []) as Error).message;
  expect(said(1, 95)).toMatch(/^failed to set the VLANs of port veth1: RTM_SETLINK: EOPNOTSUPP/);
  expect(said(3, 1)).toMatch(/^failed to set up link eth0: RTM_SETLINK: EPERM/);
  expect(said(2, 24)).toBe('looking for eth0: EMFILE (too many open files)');
});
