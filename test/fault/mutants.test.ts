import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { scratchDirectory } from '../harness/reaper.ts';
import type { ViolationKind } from './checker.ts';
import type { Fault } from './faults.ts';
import { type Mutant, makeMutant, mutants } from './mutants.ts';
import { run } from './run.ts';

const directory = scratchDirectory('mutants');

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const SECONDS = 8;

/** What a breach of each layer needs to show: etcd that lies, or devices that meet. */
const lies: readonly Fault[] = Array.from({ length: SECONDS - 2 }, (_, i) => ({
  ...({ kind: 'roll-back', at: 1000 * (i + 1), for: 0, alone: false } as const),
}));

const plans: [Mutant, readonly Fault[], ViolationKind[]][] = [
  [mutants.skipGuard, lies, ['limit-at-tokens']],
  [mutants.dropCompare, [], ['forbidden-error', 'lost-attempt']],
  [mutants.spendAgain, [], ['double-charge']],
];

// With the same load and the same lies, a daemon that is whole shows nothing: so it is the mutation that is seen.
test('without a mutation nothing is found', async () => {
  expect(await violations(undefined, lies)).toEqual([]);
}, 120_000);

test.each(plans)(
  'a daemon that $name is found out',
  async (mutant, plan, expected) => {
    const found = await violations(makeMutant(mutant), plan);
    for (const kind of expected) expect(found.map((violation) => violation.kind)).toContain(kind);
  },
  120_000,
);

async function violations(daemon: string | undefined, plan: readonly Fault[]) {
  const options = { seed: 1, seconds: SECONDS, output: join(directory, 'run'), plan, devices: 8, accountsAtOnce: 3, progress: () => {} };
  return (await run({ ...options, ...(daemon ? { daemon } : {}) })).violations;
}
