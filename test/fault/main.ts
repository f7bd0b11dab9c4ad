import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exitWhenIdle } from '../../primitives/exit.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { scratchDirectory } from '../harness/reaper.ts';
import { type Phase, run } from './run.ts';
import { schedule } from './schedule.ts';

const { values } = parseArgs({
  options: {
    /** How long things go wrong. Start, healing and checking come on top: about half a minute. */
    seconds: { type: 'string', default: '250' },
    minutes: { type: 'string' },
    seed: { type: 'string' },
    /** The fleet grows from three replicas to five and shrinks again, each for a third of the time. */
    resize: { type: 'boolean', default: false },
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
const planned = (replicas: number, share: number, nth = 0): Phase => ({
  seconds: share * seconds,
  plan: schedule({ seed: seed + nth, length: share * seconds * 1000, replicas, etcdMembers: 3 }),
});
const resized = (): Phase[] => [
  planned(3, 1 / 3),
  { ...planned(5, 1 / 3, 1), change: { joining: [4, 5] } },
  { ...planned(3, 1 / 3, 2), change: { leaving: [4, 5] } },
];
const rebuilt = (): Phase[] => [planned(3, 1 / 2), { ...planned(3, 1 / 2, 1), guardLost: 2 }];
const phases = values.resize ? resized() : rebuilt();
const { violations, report } = await run({ seed, phases, attempts: LEAST_RATE * seconds, output, progress });
console.log(report);
console.log(`written to ${output}: make faults SEED=${seed}${values.resize ? ' RESIZE=1' : ''} plans the same faults again`);
process.exitCode = violations.length === 0 ? 0 : 1;
