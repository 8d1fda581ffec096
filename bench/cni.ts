import { setTimeout as sleep } from 'node:timers/promises';
import { type CandidateName, candidates } from './candidate.ts';
import { type Family, Host, servedBefore } from './host.ts';
import { memoryDirectory } from './directory.ts';
import { heading, keep, ms, table, times, verdict } from './report.ts';
import { mean, quantile } from './statistics.ts';
import { type Cell, type Verb, wantedAlone, wantedCpuShare, wantedRatio, wantedTail } from './targets.ts';

export interface Plan {
  readonly families: readonly Family[];
  readonly pods: readonly number[];
  /** At once -> how many times. */
  readonly waves: ReadonlyMap<number, number>;
}

const full: Plan = {
  families: ['v4', 'dual'],
  pods: [0, 100, 250],
  waves: new Map([
    [1, 60],
    [8, 12],
    [32, 6],
  ]),
};

const quick: Plan = {
  families: ['v4', 'dual'],
  pods: [0, 100],
  waves: new Map([
    [1, 20],
    [8, 4],
    [32, 2],
  ]),
};

interface Samples {
  readonly ms: number[];
  /** One for each wave: of launcher and daemon together, for one pod. */
  readonly cpuMs: number[];
}

interface Result extends Cell {
  readonly candidate: CandidateName;
  readonly samples: number;
  readonly p50: number;
  readonly p90: number;
  readonly cpu: number;
}

/** ADD and DEL, against the reference in the same run: everybody's turn comes in every round. */
export async function benchCni(isQuick: boolean): Promise<void> {
  const plan = isQuick ? quick : full;
  heading('ADD and DEL, the whole process from outside');
  for (const { name, title } of candidates) console.log(`  ${name.padEnd(12)} ${title}`);
  const directory = memoryDirectory();
  const room = Math.max(...plan.pods) + Math.max(...plan.waves.keys());
  const hosts: Host[] = [];
  try {
    for (const candidate of candidates) hosts.push(await Host.create(candidate, room, directory));
    const results = await measureAll(plan, hosts);
    const file = keep('cni', results);
    print(results);
    console.log(`\nThe figures: ${file}`);
  } finally {
    for (const host of hosts) await host.end();
  }
}

async function measureAll(plan: Plan, hosts: readonly Host[]): Promise<Result[]> {
  const results: Result[] = [];
  for (const family of plan.families) {
    for (const host of hosts) await host.begin(family);
    for (const pods of plan.pods) {
      for (const host of hosts) await host.fill(pods);
      await sleep(500); // what the filling left to do behind the kernel's curtain
      for (const [atOnce, rounds] of plan.waves) {
        const start = performance.now();
        results.push(...(await measure({ family, pods, atOnce }, rounds, hosts)));
        const took = ((performance.now() - start) / 1000).toFixed(1);
        console.log(`  ${family}, ${pods} pods present, ${atOnce} at once: measured in ${took} s`);
      }
    }
  }
  return results;
}

type Load = Omit<Cell, 'verb'>;

async function measure(load: Load, rounds: number, hosts: readonly Host[]): Promise<Result[]> {
  const samples = new Map<string, Samples>();
  const of = (name: CandidateName, verb: Verb): Samples => {
    const key = `${name} ${verb}`;
    const found = samples.get(key) ?? { ms: [], cpuMs: [] };
    samples.set(key, found);
    return found;
  };
  for (let round = 0; round < rounds; round++) {
    // a different one begins each time; the stand-alone way takes longest and is less in question
    const order = hosts.map((_, i) => hosts[(i + round) % hosts.length] as Host);
    for (const host of order) {
      const { name } = host.candidate;
      if (name === 'stand-alone' && round % 2 === 1) continue;
      await turn(host, 'ADD', load.atOnce, of(name, 'ADD'));
      await turn(host, 'DEL', load.atOnce, of(name, 'DEL'));
    }
  }
  return hosts.flatMap(({ candidate: { name } }) =>
    (['ADD', 'DEL'] as const).map((verb) => {
      const { ms: walls, cpuMs } = of(name, verb);
      const [p50, p90] = [quantile(walls, 0.5), quantile(walls, 0.9)];
      return { ...load, verb, candidate: name, samples: walls.length, p50, p90, cpu: mean(cpuMs) };
    }),
  );
}

async function turn(host: Host, verb: Verb, atOnce: number, samples: Samples): Promise<void> {
  const before = host.daemonCpuMs();
  const outcomes = await (verb === 'ADD' ? host.add(atOnce) : host.del(atOnce));
  // What the daemon does after its answers is counted as well: it announces one pod after the other, some 1 ms each with many
  // pods, and answers a DEL before the kernel has freed the device.
  await sleep(verb === 'ADD' ? 10 + 2 * atOnce : 40);
  const daemon = host.daemonCpuMs() - before;
  samples.ms.push(...outcomes.map((outcome) => outcome.ms));
  samples.cpuMs.push((outcomes.reduce((sum, { cpuMs }) => sum + cpuMs, 0) + daemon) / atOnce);
}

function print(results: readonly Result[]): void {
  const find = (cell: Cell, candidate: CandidateName) =>
    results.find(
      (result) =>
        result.candidate === candidate &&
        (['family', 'pods', 'atOnce', 'verb'] as const).every((key) => result[key] === cell[key]),
    );
  const pairs = (other: CandidateName) =>
    results
      .filter(({ candidate }) => candidate === 'reference')
      .flatMap((reference) => {
        const ours = find(reference, other);
        return ours === undefined ? [] : [{ reference, ours }];
      });
  printWarm(pairs('warm'));
  printAlone(pairs('stand-alone'));
}

interface Pair {
  readonly reference: Result;
  readonly ours: Result;
}

const cellColumns = ['', 'family', 'pods', 'at once'];
const cellOf = ({ verb, family, pods, atOnce }: Cell) => [verb, family, String(pods), String(atOnce)];

function printWarm(pairs: readonly Pair[]): void {
  heading(
    `With flanneld, which has served ${servedBefore} pods before: milliseconds p50 / p90, CPU milliseconds, and how many times less than the reference`,
  );
  const head = [
    ...cellColumns,
    'reference',
    'CPU',
    'flannel',
    'CPU',
    'p50',
    'p90',
    'CPU',
    'wanted',
    '',
    'also wanted',
    '',
  ];
  const rows = pairs.map(({ reference, ours }) => {
    const ratio = reference.p50 / ours.p50;
    const wanted = wantedRatio(ours);
    return [
      ...cellOf(ours),
      `${ms(reference.p50)} / ${ms(reference.p90)}`,
      ms(reference.cpu),
      `${ms(ours.p50)} / ${ms(ours.p90)}`,
      ms(ours.cpu),
      times(ratio),
      times(reference.p90 / ours.p90),
      times(reference.cpu / ours.cpu),
      times(wanted),
      verdict(ratio >= wanted),
      ...also({ reference, ours }),
    ];
  });
  table(head, rows, 2);
}

/** What is asked of an ADD besides its median. */
function also({ reference, ours }: Pair): string[] {
  if (ours.verb === 'DEL') return [];
  const cpu = ours.cpu <= reference.cpu * wantedCpuShare;
  if (ours.family === 'v4') return [`CPU ${times(1 / wantedCpuShare)}`, verdict(cpu)];
  const tail = ours.p90 <= ours.p50 * wantedTail;
  return [`CPU ${times(1 / wantedCpuShare)}, p90 < ${wantedTail} p50`, verdict(cpu && tail)];
}

function printAlone(pairs: readonly Pair[]): void {
  heading('Alone, without flanneld: how many times more than the reference');
  const head = [...cellColumns, 'reference', 'flannel', 'p50', 'p90', 'CPU', 'wanted', ''];
  const rows = pairs.map(({ reference, ours }) => {
    const ratio = ours.p50 / reference.p50;
    const judged = ours.atOnce === 1;
    return [
      ...cellOf(ours),
      `${ms(reference.p50)} / ${ms(reference.p90)}`,
      `${ms(ours.p50)} / ${ms(ours.p90)}`,
      times(ratio),
      times(ours.p90 / reference.p90),
      times(ours.cpu / reference.cpu),
      ...(judged ? [`< ${times(wantedAlone)}`, verdict(ratio <= wantedAlone)] : []),
    ];
  });
  table(head, rows, 2);
}
