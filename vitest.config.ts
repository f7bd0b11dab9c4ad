import { configDefaults, defineConfig } from 'vitest/config';
import { tokenProjects, tokenTests } from './test/token-suite/projects.ts';

const shared = { pool: 'forks' as const, exclude: [...configDefaults.exclude, 'dist/**', 'build/**'] };

// They need a fleet of their own, and measure no time.
const fleets = ['test/fault/dies-at-every-step.test.ts', 'test/fault/mutants.test.ts'];

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
          include: ['**/*.test.ts'],
          exclude: [...shared.exclude, 'test/**', ...tokenTests],
          maxWorkers: 2,
          testTimeout: 20_000, // property tests, on a machine that does other things too
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...shared,
          name: 'system',
          include: ['test/**/*.test.ts'],
          exclude: [...shared.exclude, 'test/integration/**', ...fleets],
          // One file at a time: each starts etcd, tokens and daemons, and some of them measure time.
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          ...shared,
          name: 'integration',
          include: ['test/integration/**/*.test.ts', ...fleets],
          globalSetup: ['test/integration/support/setup.ts'], // one fleet for most of the files
          maxWorkers: 2,
          maxConcurrency: 2,
          sequence: { groupOrder: 2 },
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
