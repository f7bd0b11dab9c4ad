import { afterAll, expect, test } from 'vitest';
import { benchSessions } from '../bench/sessions-bench.ts';
import { makeTestToken } from '../harness/test-token.ts';

// The figure itself is the benchmark's (docs/BENCHMARKS.md): a machine that runs tests has other things to do.

const { location } = makeTestToken(afterAll);

test('a token that is 2 ms away is asked by as many sessions as the profile says, all at once', async () => {
  const few = await benchSessions(location, 4, 1);
  const many = await benchSessions(location, 32, 2);
  expect(few.callsEach).toBe(2);
  expect(many.ideal).toBe(8000);
  expect(few.perSecond / few.ideal).toBeGreaterThan(0.6);
  expect(many.perSecond / many.ideal).toBeGreaterThan(0.4);
});
