import { randomBytes } from 'node:crypto';
import { afterAll, expect, test, vi } from 'vitest';
import { openToken } from '../../daemon/token/open-token.ts';
import { behindShim, compileFaultShim, Faults } from '../harness/fault-shim.ts';
import { PATIENCE } from '../harness/patience.ts';
import { makeTestToken, storedPin } from '../harness/test-token.ts';

// How near to their ideal rate so many sessions come is the benchmark's figure (docs/BENCHMARKS.md). The worker is the compiled one: build first.

const { location, directory } = makeTestToken(afterAll, { callTimeout: PATIENCE.timeout });
const faults = new Faults(process.env.SOFTHSM2_CONF as string);
Object.assign(process.env, behindShim(location.module));
const module = compileFaultShim(directory);
const mac = ['C_SignInit', 'C_Sign'] as const;

/** Keeps this thread from doing anything else meanwhile. */
function standStillUntil(condition: () => boolean): void {
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (let waited = 0; !condition() && waited < PATIENCE.timeout; waited += PATIENCE.interval) Atomics.wait(never, 0, 0, PATIENCE.interval);
}

test.each([4, 32])('%i sessions are in the module all at once, and go on while the thread that asks them is busy', async (sessions) => {
  const token = await openToken({
    ...{ ...location, module, pin: storedPin, checkEvery: 3_600_000 },
    profile: { ...location.profile, workers: sessions },
  });
  const before = mac.map((name) => faults.calls(name));
  const made = () => mac.map((name, i) => faults.calls(name) - (before[i] as number));
  faults.set('hang');
  const all = faults.calls();
  const macs = Array.from({ length: 3 * sessions }, () => token.mac(randomBytes(32)));
  await vi.waitFor(() => expect(made()).toEqual([sessions, 0]), PATIENCE);
  faults.none();
  // Each has the call under way, and the next: what this thread has not given out yet must wait for it.
  standStillUntil(() => made()[1] === 2 * sessions);
  expect(made()).toEqual([2 * sessions, 2 * sessions]);
  for (const tag of await Promise.all(macs)) expect(tag).toHaveLength(32);
  expect(faults.calls() - all).toBe(3 * sessions * mac.length); // and no other calls
  await token.close();
});
