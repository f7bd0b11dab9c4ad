import type { TestProjectConfiguration } from 'vitest/config';
import { isPresent, type TestTokenName, testTokenNames } from '../harness/test-tokens.ts';

/** The tests that need a token, whichever it is. */
export const tokenTests = [
  'keys/explain-refusal',
  'keys/provision',
  'keys/replica',
  'keys/rotation',
  'open-token',
  'operations',
  'pkcs11/inspect',
  'pkcs11/module',
  'pkcs11/session',
  'pool/pool',
  'probe/hsm-probe',
  'probe/proves-refusals',
  'rfc9497',
  'self-test',
].map((name) => `daemon/token/${name}.test.ts`);

/** Of openCryptoki's daemon there is one on a machine. */
const workersFor = (name: TestTokenName): number => (name === 'opencryptoki' ? 1 : 2);

/** Every token test against every token that is installed: one project of Vitest for each token, named after it. */
export const tokenProjects = (shared: { readonly pool: 'forks'; readonly exclude: string[] }): TestProjectConfiguration[] =>
  testTokenNames.filter(isPresent).map((name, i) => ({
    test: {
      ...shared,
      name: `token ${name}`,
      include: tokenTests,
      env: { BKV_TEST_TOKEN: name },
      maxWorkers: workersFor(name),
      testTimeout: 600_000,
      hookTimeout: 600_000,
      sequence: { groupOrder: 10 + i },
    },
  }));
