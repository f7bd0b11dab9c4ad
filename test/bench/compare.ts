import { parseArgs } from 'node:util';
import { exitWhenIdle } from '../../primitives/exit.ts';
import { scratchDirectory } from '../harness/reaper.ts';
import { compareWithLanded } from './comparison.ts';
import { landedTable } from './report.ts';
import { openTokenStage } from './token-stage.ts';

// What make bench says of wrapped keys and tweaks, alone.

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });

process.env.TMPDIR = scratchDirectory('bench-compare');
exitWhenIdle();
const stage = await openTokenStage();
console.log(
  landedTable(compareWithLanded(stage, values.quick ? { warmUp: 100, rounds: 3, calls: 20 } : { warmUp: 2000, rounds: 20, calls: 100 })),
);
await stage.close();
