import { configDefaults, defineConfig } from 'vitest/config';
import { tokenProjects, tokenTests } from './test/token-suite/projects.ts';

// A test that hangs ends at some time. On a machine that does other things too, nothing is told by how long one takes.
const PATIENCE = 600_000;

const shared = { pool: 'forks' as const, exclude: [...configDefaults.exclude, 'dist/**', 'build/**'] };

// They load the whole machine.
const alone = [
  'test/fault/faults.test.ts',
  'test/bench/bench.test.ts',
  'test/harness/**/*.test.ts',
  'test/token-suite/{heals-itself,heals-in-few-calls,scales-with-sessions}.test.ts',
  'test/integration/heals-its-token.test.ts',
];

// They need no fleet.
const plain = [
  'test/golden/**/*.test.ts',
  'test/docs/**/*.test.ts',
  'test/token-suite/presence.test.ts',
  'test/fault/{checker,schedule}.test.ts',
  'test/bench/regressions.test.ts',
];

const together = {
  maxWorkers: 2,
  maxConcurrency: 2,
  sequence: { groupOrder: 2 },
  testTimeout: PATIENCE,
  hookTimeout: PATIENCE,
} as const;

// Tests that start worker threads or daemons run what `make build` left in dist/.
export default defineConfig({
  test: {
    reporters: ['default', './test/harness/summary-reporter.ts'],
    projects: [
      ...tokenProjects(shared),
      {
        test: {
          ...shared,
          name: 'unit',
          include: ['!(test)/**/*.test.ts', ...plain],
          exclude: [...shared.exclude, ...tokenTests],
          maxWorkers: 2,
          testTimeout: PATIENCE,
          hookTimeout: PATIENCE,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...shared,
          name: 'alone',
          include: alone,
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          testTimeout: PATIENCE,
          hookTimeout: PATIENCE,
        },
      },
      {
        test: {
          ...shared,
          ...together,
          name: 'system',
          include: ['test/**/*.test.ts'],
          exclude: [...shared.exclude, ...alone, ...plain, 'test/integration/**'],
        },
      },
      {
        test: {
          ...shared,
          ...together,
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          exclude: [...shared.exclude, ...alone],
          globalSetup: ['test/integration/support/setup.ts'], // one fleet for most of the files
        },
      },
    ],
  },
});
