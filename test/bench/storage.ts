import { parseArgs } from 'node:util';
import { exitWhenIdle } from '../../primitives/exit.ts';
import { scratchDirectory } from '../harness/reaper.ts';
import { benchStorage } from './storage-bench.ts';

// What make bench says of records on disks, alone. Prints JSON.

const { values } = parseArgs({ options: { records: { type: 'string', default: '20000' } } });

process.env.TMPDIR = scratchDirectory('bench-storage');
exitWhenIdle();
console.log(JSON.stringify(await benchStorage(Number(values.records))));
