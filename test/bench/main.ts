import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exitWhenIdle } from '../../primitives/exit.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { scratchDirectory } from '../harness/reaper.ts';
import { compareWithLanded } from './comparison.ts';
import { figuresOf } from './figures.ts';
import { benchFleet, type FleetRun } from './fleet-bench.ts';
import { describeMachine } from './machine.ts';
import { benchMemory } from './memory-bench.ts';
import { landedTable, type Results, tableOf, writeResults } from './report.ts';
import { benchSessions } from './sessions-bench.ts';
import { benchStorage } from './storage-bench.ts';
import { TokenBench, type TokenRounds } from './token-bench.ts';
import { openTokenStage } from './token-stage.ts';

const { values } = parseArgs({
  options: {
    /** A few seconds: shows that everything works. */
    quick: { type: 'boolean', default: false },
    /** For resident memory; 200000 to see it over a long run, some minutes. */
    evaluations: { type: 'string', default: '' },
    output: { type: 'string', default: join(packageRoot, 'build/bench/results.json') },
  },
});

interface Plan {
  /** Made twice: before and after the fleet. */
  readonly token: TokenRounds;
  readonly landed: Omit<TokenRounds, 'inFlight'>;
  readonly fleet: FleetRun;
  readonly sessionsSeconds: number;
  readonly evaluations: number;
  readonly records: number;
}

const plan: Plan = values.quick
  ? {
      token: { warmUp: 20, rounds: 1, calls: 20, inFlight: 8 },
      landed: { warmUp: 20, rounds: 1, calls: 20 },
      fleet: { sequential: 2, concurrent: 4, atOnce: 4, warmUp: 1, restSeconds: 0.5 },
      sessionsSeconds: 0.5,
      evaluations: 500,
      records: 200,
    }
  : {
      token: { warmUp: 3000, rounds: 10, calls: 100, inFlight: 16 },
      landed: { warmUp: 2000, rounds: 20, calls: 100 },
      fleet: { sequential: 100, concurrent: 400, atOnce: 8, warmUp: 600, restSeconds: 10 },
      sessionsSeconds: 10,
      evaluations: 20_000,
      records: 20_000,
    };

// Whatever ends this process, what lies below this directory is removed, and with it all that the parts leave there.
process.env.TMPDIR = scratchDirectory('bench');

exitWhenIdle();
const progress = (step: string) => process.stderr.write(`bench: ${step}\n`);

const stage = await openTokenStage();
const bench = new TokenBench(stage);
const machine = describeMachine(stage.token.identity);
progress('the token, before the fleet');
await bench.measure(plan.token);
const fleet = await benchFleet(plan.fleet, progress);
progress('the token, after the fleet');
await bench.measure(plan.token);
const token = bench.results();
progress('wrapped keys and tweaks, side by side');
const landed = compareWithLanded(stage, plan.landed);
progress('32 sessions with a token 2 ms away');
const sessions = await benchSessions(stage.location, 32, plan.sessionsSeconds);
bench.close();
await stage.close();
const evaluations = Number(values.evaluations || plan.evaluations);
progress(`resident memory over ${evaluations} evaluations`);
const memory = await benchMemory(evaluations);
progress(`${plan.records} records on disks`);
const storage = await benchStorage(plan.records);

const results: Results = {
  machine,
  quick: values.quick,
  figures: figuresOf({ token, fleet, sessions, memory, storage, landed }),
  token,
  fleet,
  sessions,
  memory,
  storage,
  landed,
};
writeResults(values.output, results);
console.log(tableOf(results));
console.log(landedTable(landed));
console.log(`${machine.cores} × ${machine.cpu}, Node ${machine.node}, ${machine.token}, etcd ${machine.etcd}`);
console.log(`written to ${values.output}`);
