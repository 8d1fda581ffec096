import path from 'node:path';
import { expect, test } from 'vitest';
import { repository } from './lab/binary.ts';
import { describeOnEachRuntime } from './lab/each-runtime.ts';
import { runtimes } from './lab/runtime.ts';
import { cases } from './parity/cases.ts';
import { compare } from './parity/compare.ts';
import { explains, meant, unexplained } from './parity/differences.ts';
import { parityPage } from './parity/page.ts';
import { ours, reference, run } from './parity/run.ts';

const seen = new Set<string>();

describeOnEachRuntime('ours and the reference plugins', ({ name: runtime, plugins }) => {
  const old = runtime === 'containerd 1.6';

  test.each(cases.filter(({ onlyNew }) => !(old && onlyNew === true)))('$name', async (given) => {
    const [theirs, own] = await Promise.all([run(reference(plugins), given), run(ours, given)]);
    const differences = compare(theirs, own);
    for (const { line } of differences) {
      for (const entry of meant) if (explains(entry, given.name, old, line)) seen.add(entry.title);
    }
    const left = unexplained(given.name, old, differences);
    expect(left.slice(0, 20), `${left.length} differences that nothing explains`).toEqual([]);
  });
});

test('no listed difference has gone', ({ skip }) => {
  const away = runtimes.find(({ missing }) => missing !== undefined);
  if (away !== undefined) skip(away.missing);
  expect(meant.map(({ title }) => title).filter((title) => !seen.has(title))).toEqual([]);
});

test('docs/parity.md says what the list says', async () => {
  await expect(parityPage()).toMatchFileSnapshot(path.join(repository, 'docs/parity.md'));
});
