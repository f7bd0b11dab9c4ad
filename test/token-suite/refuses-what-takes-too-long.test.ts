import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { type OpenToken, openToken } from '../../daemon/token/open-token.ts';
import { behindShim, compileFaultShim, Faults } from '../harness/fault-shim.ts';
import { PATIENCE } from '../harness/patience.ts';
import { makeTestToken, storedPin } from '../harness/test-token.ts';

// A token that hangs. That a call is refused when its time is up, and not before, is the queue's test. The worker is the compiled one: build first.

const WORKERS = 3;
const { location, directory } = makeTestToken(afterAll, { workers: WORKERS, callTimeout: 1000 });
const faults = new Faults(process.env.SOFTHSM2_CONF as string);
Object.assign(process.env, behindShim(location.module));
const module = compileFaultShim(directory);
let token: OpenToken;

beforeAll(async () => {
  token = await openToken({ ...location, module, pin: storedPin, checkEvery: 3_600_000 });
});

afterEach(() => faults.none());

afterAll(() => token?.close());

it('what was asked of a token that hangs is refused while it does, and it serves when it does no more', async () => {
  faults.set('hang');
  await expect(token.mac(randomBytes(32))).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' });
  faults.none();
  await expect(vi.waitFor(() => token.mac(randomBytes(32)), PATIENCE)).resolves.toHaveLength(32);
});

it('calls that get no turn are told BUSY, those under way that the token does not answer, and none is forgotten', async () => {
  faults.set('hang');
  const calls = Array.from({ length: 100 }, () => token.mac(randomBytes(32)));
  const results = await Promise.allSettled(calls);
  const codes = results.map((result) => (result.status === 'fulfilled' ? 'answered' : result.reason.code));
  const underWay = 2 * WORKERS; // each has the next one too
  expect(codes).toEqual([...Array(underWay).fill('TOKEN_UNAVAILABLE'), ...Array(100 - underWay).fill('BUSY')]);
  faults.none();
  await expect(vi.waitFor(() => token.mac(randomBytes(32)), PATIENCE)).resolves.toHaveLength(32);
});

it('a token whose module does not answer when it is opened is given up, so that the next process may get through', async () => {
  faults.set('hang');
  const opening = openToken({ ...location, module, pin: storedPin, checkEvery: 3_600_000 });
  await expect(opening).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE', message: expect.stringContaining('were asked: open') });
});
