import { describe, expect, test } from 'vitest';
import { goRegExp } from '../../src/daemon/options/go-regexp.ts';

describe('a regular expression of Go', () => {
  test.each([
    ['eth', 'beth0', true],
    ['^eth', 'beth0', false],
    ['(?i)ETH0', 'eth0', true],
    ['(?P<a>e)th', 'eth0', true],
    [String.raw`\Aeth\d\z`, 'eth0', true],
    [String.raw`\Aeth\z`, 'eth0', false],
    ['^[[:alpha:]]+[[:digit:]]$', 'eth0', true],
    ['[^[:alpha:]]', 'eth', false],
    [String.raw`10\.0\.`, '10.0.1.1', true],
    [String.raw`\\A`, String.raw`\A`, true],
    ['', 'anything', true],
  ])('%s in %s: %s', (text, subject, matches) => {
    expect(goRegExp(text)?.test(subject)).toBe(matches);
  });

  test.each(['(', '[a', 'a**', '(?=a)', '(?<!a)', String.raw`(a)\1`, '[[:colour:]]', '(?U)a'])(
    'and what is none: %s',
    (text) => {
      expect(goRegExp(text)).toBeUndefined();
    },
  );
});
