import { expect, test } from 'vitest';
import { openLog } from '../../src/daemon/report/log.ts';

function lines(verbosity: number, readable: boolean): string[] {
  const written: string[] = [];
  const log = openLog({ verbosity, readable, write: (text) => void written.push(text) });
  log.debug({ peer: 'node-2' }, 'quiet');
  log.warn({ peer: 'node-2', why: 'no route', count: 3 }, 'loud');
  return written;
}

test('is JSON, a line each', () => {
  const [line = ''] = lines(0, false);
  expect(line.endsWith('\n')).toBe(true);
  expect(JSON.parse(line)).toEqual({
    level: 'warn',
    time: expect.any(Number) as number,
    msg: 'loud',
    peer: 'node-2',
    why: 'no route',
    count: 3,
  });
});

test('is readable on a terminal', () => {
  expect(lines(0, true)).toEqual([
    expect.stringMatching(/^\d\d:\d\d:\d\d\.\d{3} warn {2}loud peer=node-2 why="no route" count=3\n$/),
  ]);
});

test('says everything from -v=1 on', () => {
  expect(lines(0, false)).toHaveLength(1);
  expect(lines(1, false)).toHaveLength(2);
});

test('shows where an error came from', () => {
  let text = '';
  openLog({ verbosity: 0, readable: true, write: (line) => (text += line) }).error(
    { err: new Error('oh') },
    'failed',
  );
  expect(text).toMatch(/error failed\n {4}Error: oh\n {8}at /);
});
