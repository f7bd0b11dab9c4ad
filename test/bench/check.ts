import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exitWhenIdle } from '../../primitives/exit.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { scratchDirectory } from '../harness/reaper.ts';
import { compareWithLanded } from './comparison.ts';
import { benchFleet } from './fleet-bench.ts';
import { describeMachine, type Machine } from './machine.ts';
import { benchMemory } from './memory-bench.ts';
import { diskRatios, landedRatios, memoryRatios, portRatios, type Ratio, recoveryRatios, sessionsRatios, storageRatios } from './ratios.ts';
import { betterOf, compare, compareOne, comparisonTable, type Recorded } from './regressions.ts';
import { benchSessions } from './sessions-bench.ts';
import { benchStorage } from './storage-bench.ts';
import { TokenBench } from './token-bench.ts';
import { openTokenStage } from './token-stage.ts';

// The ratios of the benchmark, and no absolute time, against those in recorded.json: make bench-check. With --record it writes them there.

interface RecordFile {
  readonly commit: string;
  readonly machine: Machine;
  readonly ratios: Recorded;
}

const { values } = parseArgs({ options: { record: { type: 'boolean', default: false } } });
const file = join(packageRoot, 'test/bench/recorded.json');

/** Other processes disturb a measurement, but seldom three in a row: a regression is one that is there each time. The best is recorded. */
const ATTEMPTS = 3;

process.env.TMPDIR = scratchDirectory('bench-check');
exitWhenIdle();
const progress = (step: string) => process.stderr.write(`bench-check: ${step}\n`);

const stage = await openTokenStage();
const bench = new TokenBench(stage);
const machine = describeMachine(stage.token.identity);
const rounds = { warmUp: 3000, rounds: 10, calls: 100, inFlight: 16 };
const fleetRun = { sequential: 20, concurrent: 200, atOnce: 8, warmUp: 400, restSeconds: 5 };
const parts: { readonly name: string; readonly measure: () => Promise<Ratio[]> }[] = [
  {
    name: 'the token and its port',
    measure: async () => {
      bench.restart();
      await bench.measure(rounds);
      return portRatios(bench.results());
    },
  },
  {
    name: 'wrapped keys and tweaks, side by side',
    measure: async () => landedRatios(compareWithLanded(stage, { warmUp: 2000, rounds: 10, calls: 100 })),
  },
  { name: '32 sessions with a token 2 ms away', measure: async () => sessionsRatios(await benchSessions(stage.location, 32, 5)) },
  { name: 'resident memory', measure: async () => memoryRatios(await benchMemory(10_000)) },
  { name: 'records on disks', measure: async () => diskRatios(await benchStorage(20_000)) },
  {
    name: 'a live fleet',
    measure: async () => {
      const fleet = await benchFleet(fleetRun, () => {});
      return [...recoveryRatios(bench.results(), fleet), ...storageRatios(fleet)];
    },
  },
];

const old = values.record ? undefined : (JSON.parse(readFileSync(file, 'utf8')) as RecordFile);
const measured: Ratio[] = [];
for (const { name, measure } of parts) {
  progress(name);
  let best = await measure();
  const isEnough = () => old !== undefined && !best.some((ratio) => compareOne(old.ratios[ratio.id], ratio).isRegression);
  for (let attempt = 2; !isEnough() && attempt <= ATTEMPTS; attempt++) {
    progress(`${name}, attempt ${attempt}, after ${best.map(({ value }) => value.toFixed(3)).join(' and ')}`);
    const again = await measure();
    best = best.map((ratio, i) => betterOf(ratio, again[i] as Ratio));
  }
  measured.push(...best);
}
bench.close();
await stage.close();

if (old === undefined) {
  const ratios = Object.fromEntries(measured.map(({ id, value }) => [id, Number(value.toFixed(3))]));
  const commit = execFileSync('git', ['describe', '--always', '--dirty'], { cwd: packageRoot, encoding: 'utf8' }).trim();
  writeFileSync(file, `${JSON.stringify({ commit, machine, ratios } satisfies RecordFile, null, 2)}\n`);
  console.log(`${JSON.stringify(ratios, null, 2)}\nwritten to ${file}`);
} else {
  const comparisons = compare(old.ratios, measured);
  console.log(comparisonTable(comparisons));
  console.log(`recorded at ${old.commit}, ${old.machine.date}, load ${old.machine.loadBefore}; now ${machine.loadBefore}`);
  const regressions = comparisons.filter(({ isRegression }) => isRegression).map(({ id }) => id);
  if (regressions.length > 0) {
    console.error(`worse than recorded, each of ${ATTEMPTS} times: ${regressions.join(', ')}`);
    process.exitCode = 1;
  }
}
