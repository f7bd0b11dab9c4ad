import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exitWhenIdle } from '../../primitives/exit.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { scratchDirectory } from '../harness/reaper.ts';
import { run } from './run.ts';
import { schedule } from './schedule.ts';

const { values } = parseArgs({
  options: {
    /** How long things go wrong. Start, healing and checking come on top: about half a minute. */
    seconds: { type: 'string', default: '250' },
    minutes: { type: 'string' },
    seed: { type: 'string' },
    output: { type: 'string' },
  },
});

/** Answered attempts for each second of faults: a vault that refuses everything breaks no promise. A machine that is not busy has ten times as many. */
const LEAST_RATE = 2;

exitWhenIdle();
const seconds = values.minutes === undefined ? Number(values.seconds) : Number(values.minutes) * 60;
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
if (!(seconds > 0) || !Number.isInteger(seed)) throw new RangeError('--seconds, --minutes and --seed take numbers');
const output = values.output ?? join(packageRoot, 'build/faults', String(seed));

// Whatever ends this process, what lies below this directory is removed, and with it all that the parts leave there.
process.env.TMPDIR = scratchDirectory('faults');

const progress = (line: string) => process.stderr.write(`faults: ${line}\n`);
progress(`seed ${seed}`);
const plan = schedule({ seed, length: seconds * 1000, replicas: 3, etcdMembers: 3 });
const { violations, report } = await run({ seed, seconds, attempts: LEAST_RATE * seconds, output, plan, progress });
console.log(report);
console.log(`written to ${output}: make faults SEED=${seed} plans the same faults again`);
process.exitCode = violations.length === 0 ? 0 : 1;
