import { randomBytes } from 'node:crypto';
import Table from 'cli-table3';
import { maskKey, memoryFor, wasmArgon2id } from '../../client/stretch.ts';
import { evaluate } from '../../daemon/token/steps.ts';
import { exitWhenIdle } from '../../primitives/exit.ts';
import { scratchDirectory } from '../harness/reaper.ts';
import { medianOf } from './statistics.ts';
import { openTokenStage } from './token-stage.ts';

// What a code costs to stretch, and what all codes of six digits cost whoever can use t tokens (docs/THREAT-MODEL.md). CPU of one core.

const ROUNDS = 20;
const CODES = 1_000_000;
const HOLDERS = [2, 3, 4, 5, 6, 7, 8, 9];
const DAY = 24 * 60 * 60 * 1000;

/** Before outputs were stretched: once, of the code (docs/adr/0021). */
const ofTheCode = () =>
  wasmArgon2id({ password: randomBytes(32), salt: randomBytes(32), memoryKiB: 65_536, iterations: 3, parallelism: 1, length: 32 });

const ofAShare = (holders: number) => () =>
  maskKey(randomBytes(32), { rid: randomBytes(32), g: randomBytes(16), index: 1, holders }, wasmArgon2id);

/** CPU in ms: of all, and without the system's. */
interface Cost {
  readonly all: number;
  readonly user: number;
}

async function costOf(work: () => unknown): Promise<Cost> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return { all: (user + system) / 1000, user: user / 1000 };
}

const median = (costs: readonly Cost[]): Cost => ({
  all: medianOf(costs.map(({ all }) => all)),
  user: medianOf(costs.map(({ user }) => user)),
});

process.env.TMPDIR = scratchDirectory('bench-guesses');
exitWhenIdle();
const stage = await openTokenStage();
const evaluations = 100;
const works: (() => unknown)[] = [
  () => {
    for (let i = 0; i < evaluations; i++) evaluate(stage.token, stage.requests.evaluate);
  },
  ofTheCode,
  ...HOLDERS.map(ofAShare),
];
const costs: Cost[][] = works.map(() => []);
// In turns, so that a drift of the machine meets all alike. The first round is not counted: V8 compiles in it.
for (let round = 0; round <= ROUNDS; round++)
  for (const [i, work] of works.entries()) {
    const cost = await costOf(work);
    if (round > 0) costs[i]?.push(cost);
  }
await stage.close();

const [inToken, before, ...shares] = costs.map(median) as [Cost, Cost, ...Cost[]];
const evaluation = inToken.all / evaluations;
const head = ['holders', 'KiB each', 'one share', 'system', 'all of them', ': before', 'without system', 't', 'all codes of six digits'];
const table = new Table({ head, style: { head: [], border: [], compact: true } });
for (const [i, holders] of HOLDERS.entries()) {
  const share = shares[i] as Cost;
  const threshold = Math.floor(holders / 2) + 1;
  // Who guesses often uses the same memory again; the system need not clear it for each guess, as it does for a client.
  const days = (CODES * threshold * (share.user + evaluation)) / DAY;
  table.push([
    ...[holders, memoryFor(holders), `${share.all.toFixed(0)} ms`, `${(share.all - share.user).toFixed(0)} ms`],
    ...[
      `${(holders * share.all).toFixed(0)} ms`,
      ((holders * share.all) / before.all).toFixed(2),
      ((holders * share.user) / before.user).toFixed(2),
    ],
    ...[threshold, `${days.toFixed(1)} days`],
  ]);
}
console.log(table.toString());
console.log(
  `one evaluation by a software token: ${evaluation.toFixed(2)} ms; one stretch before: ${before.all.toFixed(0)} ms, ${before.user.toFixed(0)} ms without the system's`,
);
