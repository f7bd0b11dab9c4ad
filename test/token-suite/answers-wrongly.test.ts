import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type OpenToken, openToken } from '../../daemon/token/open-token.ts';
import type { TokenPort } from '../../daemon/token/port.ts';
import { multiple } from '../../daemon/token/reference.ts';
import { ticketFields } from '../../daemon/token/software-device.ts';
import { behindShim, compileFaultShim, Faults } from '../harness/fault-shim.ts';
import { PATIENCE } from '../harness/patience.ts';
import { makeTestToken, storedPin } from '../harness/test-token.ts';

// A token that gives the x of another point, or 31 bytes: nobody but the client could tell from one answer. The worker is the compiled one.

const { location, directory } = makeTestToken(afterAll, { callTimeout: PATIENCE.timeout });
const faults = new Faults(process.env.SOFTHSM2_CONF as string);
Object.assign(process.env, behindShim(location.module));
const options = { ...location, module: compileFaultShim(directory), pin: storedPin };
const failsWith = (code: string) => expect.objectContaining({ name: 'VaultError', code });

afterEach(() => faults.none());

it.each([
  ['the x of another point', 'swap'],
  ['31 bytes', 'truncate'],
])('a token that gives %s is found at the start', async (_, directive) => {
  faults.set(directive);
  await expect(openToken(options)).rejects.toEqual(failsWith('TOKEN_UNFIT'));
});

describe('a token that begins to give the x of another point', () => {
  let token: OpenToken;
  let prepared: Parameters<TokenPort['prepare']>[0];

  beforeAll(async () => {
    token = await openToken({ ...options, checkEvery: 200 });
    const asked = { rid: randomBytes(32), g: randomBytes(16), seed: randomBytes(32), point: multiple(7n) };
    prepared = {
      ...asked,
      previous: new Uint8Array(0),
      bodyHash: randomBytes(32),
      enrolledAtMs: 1n,
      ...(await token.offer({ ...asked, ...ticketFields(5n) })),
    };
  });
  afterAll(() => token.close());

  it('is found by the regular check, though nobody asks it for anything, and serves again when it is well', async () => {
    expect(token.fault()).toBeUndefined();
    faults.set('swap');
    await vi.waitFor(() => expect(token.fault()).toBe('unfit'), PATIENCE);
    await expect(token.prepare(prepared)).rejects.toEqual(failsWith('TOKEN_UNAVAILABLE'));
    faults.none();
    await vi.waitFor(() => expect(token.fault()).toBeUndefined(), PATIENCE);
    await expect(token.prepare(prepared)).resolves.toMatchObject({ mac: { length: 32 } });
  });
});

describe('a token that begins so between an offer and its preparing', () => {
  it('is found by computing again', async () => {
    const token = await openToken({ ...options, checkEvery: 3_600_000 });
    const asked = { rid: randomBytes(32), g: randomBytes(16), seed: randomBytes(32), point: multiple(7n) };
    const offered = await token.offer({ ...asked, ...ticketFields(5n) });
    faults.set('swap');
    const prepared = token.prepare({ ...asked, previous: new Uint8Array(0), bodyHash: randomBytes(32), enrolledAtMs: 1n, ...offered });
    await expect(prepared).rejects.toEqual(failsWith('TOKEN_FAULT'));
    await vi.waitFor(() => expect(token.fault()).toBe('unfit'), PATIENCE); // and the self-test says why
    faults.none();
    await token.close();
  });

  it('and gives 31 bytes has given no answer', async () => {
    const token = await openToken({ ...options, checkEvery: 3_600_000 });
    const asked = { rid: randomBytes(32), g: randomBytes(16), seed: randomBytes(32), point: multiple(7n) };
    faults.set('truncate');
    await expect(token.offer({ ...asked, ...ticketFields(5n) })).rejects.toEqual(failsWith('TOKEN_FAULT'));
    faults.none();
    await token.close();
  });
});
