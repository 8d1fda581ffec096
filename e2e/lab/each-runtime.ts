import { describe, test } from 'vitest';
import { type Runtime, runtimes } from './runtime.ts';

/** The same tests with every runtime; one that is not there leaves one skipped test, which says why. */
export function describeOnEachRuntime(title: string, tests: (runtime: Runtime) => void): void {
  for (const runtime of runtimes) {
    describe(`${title}, ${runtime.name}`, () => {
      const { missing } = runtime;
      if (missing === undefined) tests(runtime);
      else test('all of them', ({ skip }) => skip(missing));
    });
  }
}
