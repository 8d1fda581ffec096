// A vitest reporter that keeps what the summary at the end needs, skip reasons included, which vitest's own JSON
// report leaves out. The file's name comes from the environment: a reporter is loaded by its path alone.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './step.mjs';

export default class TestReport {
  onTestRunEnd(modules, unhandledErrors) {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const of = (state) => tests.filter((test) => test.result().state === state);
    const broken = modules.flatMap((module) =>
      module.errors().map((error) => failure(module.moduleId, '', error)),
    );
    const suites = modules.flatMap((module) => [...module.children.allSuites()]);
    const hooks = suites.flatMap((suite) =>
      suite.errors().map((error) => failure(suite.module.moduleId, suite.name, error)),
    );
    const stray = unhandledErrors.map((error) => failure('', 'outside of any test', error));
    const failed = of('failed').map((test) =>
      failure(test.module.moduleId, test.fullName, test.result().errors[0]),
    );
    const report = {
      passed: of('passed').length,
      failures: [...failed, ...broken, ...hooks, ...stray],
      skipped: [...of('skipped'), ...of('pending')].map((test) => ({
        name: test.fullName,
        reason: test.result().note,
      })),
    };
    writeFileSync(process.env.FLANNELETTE_TEST_REPORT, JSON.stringify(report));
  }
}

function failure(file, name, error) {
  const message = String(error?.message ?? error).split('\n')[0];
  return { name: [path.relative(root, file), name].filter(Boolean).join(' > '), message };
}
