import { expect, test } from 'vitest';
import { sentences } from '../../src/world/sentences.ts';

test.each([
  [['nothing listens there'], 'nothing listens there'],
  [['one does not answer', 'the other neither'], 'one does not answer. the other neither'],
  [['does it want https?', 'is it there?', 'no'], 'does it want https? is it there? no'],
  [['what is "?. "', 'no'], 'what is "?. ". no'],
])('%j', (all, text) => {
  expect(sentences(...all)).toBe(text);
});
