import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { scratchDirectory } from '../harness/reaper.ts';
import type { ViolationKind } from './checker.ts';
import { type Mutant, makeMutant, mutants } from './mutants.ts';
import { type Phase, type RunOptions, run } from './run.ts';

const directory = scratchDirectory('mutants');

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const SECONDS = 8;
const RUNS = 4;

/** A breach of the guard shows where etcd forgets attempts of accounts that are nearly spent: often, on a slow machine too. */
const lies: Load = {
  plan: Array.from({ length: 4 * (SECONDS - 2) }, (_, i) => ({ kind: 'roll-back', at: 250 * (i + 4), for: 0, alone: false })),
  limits: [5, 10],
};
/** The others where devices meet. */
const meetings: Load = { plan: [] };

type Load = Pick<Phase, 'plan'> & Pick<RunOptions, 'limits'>;

const cases: [Mutant, Load, ViolationKind[]][] = [
  [mutants.skipGuard, lies, ['limit-at-tokens']],
  [mutants.dropCompare, meetings, ['forbidden-error', 'lost-attempt']],
  [mutants.spendAgain, meetings, ['double-charge']],
];

// With the same load and the same lies, a daemon that is whole shows nothing: so it is the mutation that is seen.
test('without a mutation nothing is found', async () => {
  expect(await violations(undefined, lies)).toEqual([]);
});

test.each(cases)('a daemon that $name is found out', async (mutant, load, expected) => {
  const daemon = makeMutant(mutant);
  const found = new Set<ViolationKind>();
  // Whether two devices meet just so is a matter of luck: each run gives them another chance.
  for (let seed = 1; seed <= RUNS && !expected.every((kind) => found.has(kind)); seed++)
    for (const { kind } of await violations(daemon, load, seed)) found.add(kind);
  for (const kind of expected) expect([...found]).toContain(kind);
});

async function violations(daemon: string | undefined, { plan, ...load }: Load, seed = 1) {
  const phases = [{ plan, seconds: SECONDS }];
  const options = { ...load, seed, phases, output: join(directory, 'run'), devices: 8, accountsAtOnce: 3, progress: () => {} };
  return (await run({ ...options, ...(daemon ? { daemon } : {}) })).violations;
}
