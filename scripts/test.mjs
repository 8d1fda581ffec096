// npm test: everything, from a bare machine. `npm test -- kernel` runs one stage; what follows goes to vitest
// (`npm test -- e2e -t reboot`). The last line is always `N passed, N failed, N skipped`.
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { bootstrap, node } from './bootstrap.mjs';
import { check } from './check.mjs';
import { buildGoTools, buildKubernetes } from './go-tools.mjs';
import { leftovers, look, mark } from './leftovers.mjs';
import { impossible, runInMachine } from './vm/machine.mjs';
import {
  Refusal,
  bold,
  dim,
  environment,
  green,
  interrupted,
  main,
  red,
  root,
  run,
  seconds,
  vitestCommand,
} from './step.mjs';

/** Stage -> its limit in seconds and vitest's reporter; kept in the order in which they run. */
const stages = {
  check: {},
  kernel: { limit: 300, reporter: 'default' },
  process: { limit: 600, reporter: 'default' },
  vm: { limit: 900, reporter: 'default' },
  e2e: { limit: 900, reporter: 'verbose' },
};
const reports = path.join(root, '.cache/reports');
const runId = randomUUID();
process.env[mark] = runId;

await main(async () => {
  const since = Date.now();
  const { chosen, vitest } = command(process.argv.slice(2));
  const refused = await prepare();
  if (refused !== undefined)
    return summary(
      [{ stage: 'prepare', passed: 0, skipped: [], failures: [refused] }],
      seconds(since),
      vitest,
    );
  const missing = chosen.includes('e2e') ? await buildGoTools() : undefined;
  if (missing !== undefined)
    console.log(`${missing}: e2e runs with Debian's containerd and CNI plugins alone.`);
  const noCluster = chosen.includes('e2e') ? await buildKubernetes() : undefined;
  if (noCluster !== undefined) console.log(`${noCluster}: e2e runs without Kubernetes.`);
  mkdirSync(reports, { recursive: true });
  const before = look();
  const results = [];
  for (const stage of chosen) if (!interrupted()) results.push(await runStage(stage, vitest));
  if (interrupted())
    results.push({
      stage: 'rest',
      passed: 0,
      skipped: [],
      failures: [{ name: 'npm test', message: interrupted() }],
    });
  if (interrupted())
    await run(node, ['-e', "import('./e2e/lab/lab.ts').then((lab) => lab.sweepAbandoned())"]);
  const left = await leftovers(before, runId);
  results.push({
    stage: 'leftovers',
    passed: 0,
    skipped: [],
    failures: left.map((name) => ({ name, message: 'left behind' })),
  });
  return summary(results, seconds(since), vitest);
});

/** Makes the machine ready; what hinders that is a failure like another one. */
async function prepare() {
  try {
    await bootstrap(['build', 'tests', 'containers', ...(impossible() === undefined ? ['machine'] : [])]);
    return undefined;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { name: 'npm test', message: error.message };
  }
}

function command(args) {
  const chosen = args.filter((arg) => arg in stages);
  const vitest = args.filter((arg) => !(arg in stages));
  return { chosen: chosen.length > 0 ? chosen : Object.keys(stages), vitest };
}

async function runStage(stage, vitest) {
  const since = Date.now();
  console.log(bold(`\n== ${stage} ==`));
  const report = path.join(reports, `${stage}.json`);
  rmSync(report, { force: true });
  process.env.FLANNELETTE_TEST_REPORT = report;
  const failures = stage === 'check' ? await checkStage(vitest) : await vitestStage(stage, vitest);
  const tests = read(report) ?? { passed: 0, skipped: [], failures: [] };
  const said = tests.failures.length > 0; // vitest's own exit status then says nothing new
  const more = failures.filter((failure) => !(said && failure.vitest === true));
  return { stage, ...tests, failures: [...tests.failures, ...more], took: seconds(since) };
}

async function checkStage(vitest) {
  const results = await check({ vitest });
  const failed = results.filter(({ code }) => code !== 0);
  return failed.map(({ title }) => ({ name: title, message: 'see above', vitest: title.includes('vitest') }));
}

/** The same in the emulated machine, which sees this one's files and keeps its report in .cache. */
async function machineStage(vitest) {
  const why = impossible();
  if (why !== undefined) {
    const report = { passed: 0, failures: [], skipped: [{ name: 'test/vm', reason: why }] };
    writeFileSync(process.env.FLANNELETTE_TEST_REPORT, JSON.stringify(report));
    return [];
  }
  const { limit, reporter } = stages.vm;
  const results = path.join(reports, 'vm');
  const shown = [`--reporter=${reporter}`, '--reporter=./scripts/test-report.mjs'];
  const none = vitest.length > 0 ? ['--passWithNoTests'] : [];
  const words = [node, ...vitestCommand, '--project', 'vm', ...shown, ...none, ...vitest];
  const command = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  // Through a pipe: on the machine's console vitest would paint as on a terminal.
  const report = 'FLANNELETTE_TEST_REPORT=/tmp/vm/report.json';
  const script = `set -o pipefail\ncd '${root}' && modprobe wireguard && ${report} ${command} 2>&1 | cat\n`;
  const code = await runInMachine(script, { results, limit });
  if (existsSync(path.join(results, 'report.json')))
    renameSync(path.join(results, 'report.json'), process.env.FLANNELETTE_TEST_REPORT);
  return code === 0 ? [] : [{ name: 'vm', message: `vitest ended with ${code}`, vitest: true }];
}

async function vitestStage(stage, vitest) {
  if (stage === 'vm') return machineStage(vitest);
  const { limit, reporter } = stages[stage];
  const reporters = [`--reporter=${reporter}`, '--reporter=./scripts/test-report.mjs'];
  const none = vitest.length > 0 ? ['--passWithNoTests'] : [];
  const args = [...vitestCommand, '--project', stage, ...reporters, ...none, ...vitest];
  const { code } = await run(node, args, { show: true, limit, env: environment() });
  return code === 0 ? [] : [{ name: stage, message: `vitest ended with ${code}`, vitest: true }];
}

function read(report) {
  try {
    return JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return undefined;
  }
}

function summary(results, took, vitest) {
  const failures = results.flatMap((result) => result.failures);
  const skipped = results.flatMap((result) => result.skipped);
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  if (passed === 0 && failures.length === 0) failures.push({ name: 'npm test', message: 'no test ran' });
  console.log(bold(`\n== summary == ${dim(took)}`));
  for (const result of results) {
    const mark = result.failures.length === 0 ? green('✓') : red('✗');
    const counts = [result.passed, result.failures.length, result.skipped.length].map((n) =>
      String(n).padStart(5),
    );
    console.log(
      `${mark} ${result.stage.padEnd(10)}${counts[0]} passed${counts[1]} failed${counts[2]} skipped  ${dim(result.took ?? '')}`,
    );
  }
  // what was only filtered out by the command line has no reason and needs none
  for (const { name, reason } of skipped.filter((test) => test.reason !== undefined || vitest.length === 0)) {
    console.log(`- skipped: ${name}: ${reason ?? 'no reason given'}`);
  }
  for (const { name, message } of failures) console.log(`${red('✗')} ${name}: ${message}`);
  console.log(`${passed} passed, ${failures.length} failed, ${skipped.length} skipped`);
  return failures.length === 0 ? 0 : 1;
}
