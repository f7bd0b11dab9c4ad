import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exitWhenIdle } from '../../primitives/exit.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { scratchDirectory } from '../harness/reaper.ts';
import { figuresOf } from './figures.ts';
import { benchFleet, type FleetRun } from './fleet-bench.ts';
import { describeMachine } from './machine.ts';
import { benchMemory } from './memory-bench.ts';
import { type Results, tableOf, writeResults } from './report.ts';
import { benchSessions } from './sessions-bench.ts';
import { TokenBench, type TokenRounds } from './token-bench.ts';

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
  readonly fleet: FleetRun;
  readonly sessionsSeconds: number;
  readonly evaluations: number;
}

const plan: Plan = values.quick
  ? {
      token: { rounds: 1, calls: 20, inFlight: 8 },
      fleet: { sequential: 2, concurrent: 4, atOnce: 4, warmUp: 1, restSeconds: 0.5 },
      sessionsSeconds: 0.5,
      evaluations: 500,
    }
  : {
      token: { rounds: 10, calls: 100, inFlight: 16 },
      fleet: { sequential: 100, concurrent: 400, atOnce: 8, warmUp: 600, restSeconds: 10 },
      sessionsSeconds: 10,
      evaluations: 20_000,
    };

// Whatever ends this process, what lies below this directory is removed, and with it all that the parts leave there.
process.env.TMPDIR = scratchDirectory('bench');

exitWhenIdle();
const progress = (step: string) => process.stderr.write(`bench: ${step}\n`);

const bench = await TokenBench.open();
const machine = describeMachine(bench.identity);
progress('the token, before the fleet');
await bench.measure(plan.token);
const fleet = await benchFleet(plan.fleet, progress);
progress('the token, after the fleet');
await bench.measure(plan.token);
const token = bench.results();
progress('32 sessions with a token 2 ms away');
const sessions = await benchSessions(bench.location, 32, plan.sessionsSeconds);
await bench.close();
const evaluations = Number(values.evaluations || plan.evaluations);
progress(`resident memory over ${evaluations} evaluations`);
const memory = await benchMemory(evaluations);

const results: Results = {
  machine,
  quick: values.quick,
  figures: figuresOf({ token, fleet, sessions, memory }),
  token,
  fleet,
  sessions,
  memory,
};
writeResults(values.output, results);
console.log(tableOf(results));
console.log(`${machine.cores} × ${machine.cpu}, Node ${machine.node}, ${machine.token}, etcd ${machine.etcd}`);
console.log(`written to ${values.output}`);
