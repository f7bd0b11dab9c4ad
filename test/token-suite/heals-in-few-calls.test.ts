import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type OpenToken, openToken } from '../../daemon/token/open-token.ts';
import type { TokenEvent } from '../../daemon/token/pool/pool.ts';
import { behindShim, compileFaultShim, Faults } from '../harness/fault-shim.ts';
import { HeldClock } from '../harness/held-clock.ts';
import { PATIENCE } from '../harness/patience.ts';
import { makeTestToken, storedPin } from '../harness/test-token.ts';

// What healing takes of a network HSM, which has a session for each of its workers: calls, and how many of them one after the other. How long
// that is at 2 ms for each call, the benchmark measures (docs/BENCHMARKS.md). The worker is the compiled one: build first.

const SESSIONS = 16;
/** Into the module, to open one session and to find the keys. */
const OPENING = 60;
const SHORT_TEST = 80;

const { location, directory } = makeTestToken(afterAll, { workers: SESSIONS, callTimeout: PATIENCE.timeout });
const faults = new Faults(process.env.SOFTHSM2_CONF as string);
Object.assign(process.env, behindShim(location.module));
const module = compileFaultShim(directory);
const events: TokenEvent[] = [];
const options = { ...location, module, pin: storedPin, onEvent: (event: TokenEvent) => events.push(event), checkEvery: 3_600_000 };
const clock = new HeldClock();

afterEach(() => {
  faults.none();
  events.length = 0;
});

it('a token that hangs while it is opened is waited for, but not without a word', async () => {
  faults.set('hang');
  const opening = openToken({ ...options, profile: { ...location.profile, workers: 1, callTimeout: 500 } });
  await vi.waitFor(() => expect(events).toMatchObject([{ kind: 'token-lost', fault: 'silent' }]), PATIENCE);
  faults.none();
  const token = await opening;
  expect(events.map(({ kind }) => kind)).toEqual(['token-lost', 'token-back']);
  await token.close();
});

describe('an open token', () => {
  let token: OpenToken;

  beforeAll(async () => {
    token = await openToken(options);
    await token.writeBootRecord(new Uint8Array(32).fill(7));
  });

  afterEach(() => clock.skip(1100)); // what comes next is no relapse

  afterAll(() => token?.close());

  async function vanish(): Promise<void> {
    faults.set('vanish');
    await token.readBootRecord().catch(() => {});
    await vi.waitFor(() => expect(token.fault()).toBe('absent'), PATIENCE);
  }

  const isServed = () => vi.waitFor(() => expect(token.fault()).toBeUndefined(), PATIENCE);

  it.each(['log-out', 'close-sessions', 'vanish'])(
    '%s: all sessions are back after one opening and a short self-test',
    async (directive) => {
      if (directive === 'vanish') await vanish();
      const before = { all: faults.calls(), logins: faults.calls('C_Login') };
      faults.set(...(directive === 'vanish' ? [] : [directive]));
      await isServed();
      await token.mac(randomBytes(32));
      expect(faults.calls('C_Login') - before.logins).toBe(1);
      expect(faults.calls() - before.all).toBeGreaterThan(SESSIONS * (OPENING / 2)); // it was opened anew
      expect(faults.calls() - before.all).toBeLessThan(SESSIONS * OPENING + SHORT_TEST); // with the whole self-test, 1500 more
    },
  );

  it('its sessions are opened at once, and it is tested meanwhile', async () => {
    await vanish();
    const [opened, derived] = [faults.calls('C_OpenSession'), faults.calls('C_DeriveKey')];
    faults.set('at C_OpenSession 2 hang'); // the first of the others, and none of them waits for it
    await vi.waitFor(() => {
      expect(faults.calls('C_OpenSession') - opened).toBe(SESSIONS);
      expect(faults.calls('C_DeriveKey') - derived).toBeGreaterThan(0); // by the self-test alone
    }, PATIENCE);
    expect(token.fault()).toBe('absent'); // until it is open
    faults.none();
    await isServed();
    await expect(token.mac(randomBytes(32))).resolves.toHaveLength(32);
  });
});
