import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exitWhenIdle } from '../../primitives/exit.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { scratchDirectory } from '../harness/reaper.ts';
import { figuresOf } from './figures.ts';
import { benchFleet, type FleetRun } from './fleet-bench.ts';
import { describeMachine } from './machine.ts';
import { type Results, tableOf, writeResults } from './report.ts';
import { TokenBench, type TokenRounds } from './token-bench.ts';

const { values } = parseArgs({
  options: {
    /** A few seconds: shows that everything works. */
    quick: { type: 'boolean', default: false },
    output: { type: 'string', default: join(packageRoot, 'build/bench/results.json') },
  },
});

interface Plan {
  /** Made twice: before and after the fleet. */
  readonly token: TokenRounds;
  readonly fleet: FleetRun;
}

const plan: Plan = values.quick
  ? { token: { rounds: 1, calls: 20, inFlight: 8 }, fleet: { sequential: 2, concurrent: 4, atOnce: 4, warmUp: 1, restSeconds: 0.5 } }
  : {
      token: { rounds: 10, calls: 100, inFlight: 16 },
      fleet: { sequential: 100, concurrent: 400, atOnce: 8, warmUp: 600, restSeconds: 10 },
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
await bench.close();

const results: Results = { machine, quick: values.quick, figures: figuresOf(token, fleet), token, fleet };
writeResults(values.output, results);
console.log(tableOf(results));
console.log(`${machine.cores} × ${machine.cpu}, Node ${machine.node}, ${machine.token}, etcd ${machine.etcd}`);
console.log(`written to ${values.output}`);
