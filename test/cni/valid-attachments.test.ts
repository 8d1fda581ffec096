import { describe, expect, test } from 'vitest';
import { readValidAttachments } from '../../src/cni/configuration/valid-attachments.ts';
import { refusal } from './refusal.ts';

const one = { containerID: 'c1', ifname: 'eth0' };
const other = { containerID: 'c2', ifname: 'net1' };

describe('the valid attachments of a GC', () => {
  test.each(['cni.dev/valid-attachments', 'cni.dev/attachments'])('come under the key %s', (key) => {
    expect(readValidAttachments({ [key]: [one, other] })).toEqual([one, other]);
  });

  test('are those of both keys, where both are there', () => {
    expect(
      readValidAttachments({ 'cni.dev/valid-attachments': [one], 'cni.dev/attachments': [other] }),
    ).toEqual([one, other]);
  });

  test.each([null, []].map((list) => [list]))('%j: none is valid', (list) => {
    expect(readValidAttachments({ 'cni.dev/valid-attachments': list })).toEqual([]);
  });

  test('without a key nobody has said what is valid', () => {
    expect(readValidAttachments({ name: 'cbr0' })).toBeUndefined();
  });

  test.each([['c1'], [[{ containerID: 'c1' }]], [[{ ifname: 'eth0' }]], [[5]], [{}]])(
    '%j is refused, for it might make live pods look like leftovers',
    (list) => {
      expect(refusal(() => readValidAttachments({ 'cni.dev/valid-attachments': list })).code).toBe(7);
    },
  );
});
