import { expect, test } from 'vitest';
import { keptAttachments } from '../../src/tool/kept-attachments.ts';

test('an ID alone is its eth0', () => {
  expect(keptAttachments(['live', 'a-1.b_2/net1'], false)).toEqual([
    { containerID: 'live', ifname: 'eth0' },
    { containerID: 'a-1.b_2', ifname: 'net1' },
  ]);
  expect(keptAttachments([], true)).toEqual([]);
});

test.each([
  ' live',
  'live ',
  'live/',
  '/',
  '///',
  '/eth0',
  'live/eth0/x',
  'live/eth 0',
  'live/eth:0',
  'live/..',
  'live/a234567890123456',
  'live/äöüäöüäö',
  'live,other',
  '-',
  '',
])('--keep %j is refused: what it may mean must not be removed', (entry) => {
  expect(() => keptAttachments(['good', entry], false)).toThrow(
    `--keep ${JSON.stringify(entry)} names no attachment`,
  );
});

test.each([
  [[], false, /--keep ID\/IFNAME/],
  [['live'], true, /contradict/],
])('%j and --none %j are no answer', (keep, none, sentence) => {
  expect(() => keptAttachments(keep, none)).toThrow(sentence);
});
