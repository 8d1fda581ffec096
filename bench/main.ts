/**
 * npm run bench: what is promised about speed, measured against the reference plugins in the same run.
 *
 *     npm run bench                   everything
 *     npm run bench -- cni --quick    one section, with fewer samples
 */
import { benchCni } from './cni.ts';
import { benchEndurance } from './endurance.ts';
import { benchRepair } from './repair.ts';
import { benchRules } from './rules.ts';
import { benchScale } from './scale.ts';
import { heading, missedTargets } from './report.ts';

const sections: Readonly<Record<string, (quick: boolean) => Promise<void>>> = {
  cni: benchCni,
  repair: benchRepair,
  rules: benchRules,
  scale: benchScale,
  endurance: benchEndurance,
};

process.setMaxListeners(0); // every directory, namespace and daemon tidies up when the process ends
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(130)); // daemons and namespaces go with the process
}

const args = process.argv.slice(2);
const quick = args.includes('--quick');
const names = args.filter((arg) => arg !== '--quick');
const unknown = names.filter((name) => !(name in sections));
if (unknown.length > 0) {
  console.error(
    `There is no ${unknown.join(', ')} to measure: choose among ${Object.keys(sections).join(', ')}, and --quick.`,
  );
  process.exit(2);
}
const start = performance.now();
for (const [name, section] of Object.entries(sections)) {
  if (names.length === 0 || names.includes(name)) await section(quick);
}
const missed = missedTargets();
heading(
  `${missed === 0 ? 'All targets reached' : `${missed} targets missed`}, in ${((performance.now() - start) / 1000).toFixed(0)} s`,
);
process.exitCode = missed === 0 ? 0 : 1;
