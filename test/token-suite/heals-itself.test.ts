import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { writeBootRecord } from '../../daemon/token/boot-record.ts';
import { openReplica } from '../../daemon/token/keys/replica.ts';
import { type OpenToken, openToken } from '../../daemon/token/open-token.ts';
import type { TokenEvent } from '../../daemon/token/pool/pool.ts';
import type { StoredGeneration, TokenPort } from '../../daemon/token/port.ts';
import { requireProof } from '../../daemon/token/proof.ts';
import { multiple, multiply, signWith } from '../../daemon/token/reference.ts';
import { ticketFields } from '../../daemon/token/software-device.ts';
import { mac, requireMac } from '../../daemon/token/verify.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import type { VaultError } from '../../primitives/errors.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { Transcript } from '../../protocol/transcript.ts';
import { proofTranscript } from '../../protocol/transcripts.ts';
import { lift, type XCoordinate, xOf } from '../../protocol/x-coordinate.ts';
import { behindShim, compileFaultShim, Faults } from '../harness/fault-shim.ts';
import { HeldClock } from '../harness/held-clock.ts';
import { PATIENCE } from '../harness/patience.ts';
import { makeTestToken, pin } from '../harness/test-token.ts';

const workers = vi.hoisted(() => [] as Worker[]);
vi.mock('node:worker_threads', async (importOriginal) => {
  const original = await importOriginal<typeof import('node:worker_threads')>();
  return {
    ...original,
    Worker: class extends original.Worker {
      constructor(...options: ConstructorParameters<typeof Worker>) {
        super(...options);
        workers.push(this);
      }
    },
  };
});

// The worker is the compiled one: build first.
const { location, directory } = makeTestToken(afterAll, { workers: 3, callTimeout: PATIENCE.timeout, recycleAfterObjects: 1_000_000 });
const faults = new Faults(process.env.SOFTHSM2_CONF as string);
Object.assign(process.env, behindShim(location.module));
const shim = compileFaultShim(directory);

/** What was told, and how often the token had been opened anew until then. */
const told: { readonly kind: string; readonly openings: number }[] = [];
const clock = new HeldClock();
let onBack = () => {};
let written = 0;
let pinReads = 0;
let token: OpenToken;
let stored: StoredGeneration;
/** Points, and what they evaluate to. */
let table: readonly (readonly [CompressedPoint, XCoordinate])[];
const storedPinNow = () => {
  pinReads++;
  return { pin: pin(), stamp: String(written) };
};
const openings = () => faults.calls('C_Initialize');
const A = 5n;
/** At most so many are asked for while the token is opened and tested; each later look at it asks for one. */
const MACS = 16;
const BOOT = new Uint8Array(32).fill(7);

beforeAll(async () => {
  const { profile, tokenLabel, fleet, index, epoch } = location;
  const onEvent = (event: TokenEvent) => {
    told.push({ kind: event.kind === 'token-lost' ? event.fault : event.kind, openings: openings() });
    if (event.kind === 'token-back') onBack();
  };
  token = await openToken({ profile, module: shim, tokenLabel, fleet, index, epoch, pin: storedPinNow, onEvent });
  await token.writeBootRecord(BOOT);
  const generation = { rid: randomBytes(32), g: randomBytes(16), seed: randomBytes(32) };
  const offered = await token.offer({ ...generation, point: multiple(1n), ...ticketFields(A) });
  const body = { ...generation, bodyHash: randomBytes(32), enrolledAtMs: 1n };
  const { mac } = await token.prepare({ ...body, previous: new Uint8Array(0), point: multiple(1n), ...offered });
  stored = { ...body, epoch, mac };
  const scalars = Array.from({ length: 32 }, (_, i) => BigInt(i + 2));
  table = scalars.map((scalar) => [multiple(scalar), xOf(multiply(lift(offered.evaluated), scalar))]);
  told.length = 0; // of a machine so busy that opening took long
});

const back = async () => {
  onBack = () => {};
  clock.letGo();
  faults.none();
  written++;
  await vi.waitFor(() => token.mac(randomBytes(32)), PATIENCE);
  clock.skip(1100); // what comes next is no relapse
  told.length = 0;
};

afterAll(() => token.close());

/** A request for a release, as it should be. */
function recovery(): Parameters<TokenPort['release']>[0] {
  const { fleet, epoch } = location;
  const { rid, g } = stored;
  const [point, blindedBase] = [multiple(2n), multiple(3n)];
  const proof = signWith(A, proofTranscript({ fleet, epoch, rid, g }, 1, point, blindedBase).digest);
  return { generation: stored, proofKey: multiple(A), attempt: 1, point, blindedBase, proof };
}

/** Callers without a pause, until told to stop. A wrong answer ends them at once; refusals are counted. */
function load(callers = 8) {
  let isOver = false;
  const refused = new Map<string, number>();
  let answered = 0;
  const caller = async (i: number) => {
    for (let turn = i; !isOver; turn++)
      try {
        const [point, expected] = table[turn % table.length] as (typeof table)[number];
        const { evaluated } = await token.evaluate({ generation: stored, point, attempt: 1, limit: 3, used: 1 });
        if (!constantTimeEqual(evaluated, expected)) throw new Error('a wrong answer');
        if (i === 0) await token.release(recovery());
        answered++;
      } catch (error) {
        const { code } = error as { code?: string };
        if (code !== 'TOKEN_UNAVAILABLE' && code !== 'TOKEN_FAULT') throw error;
        refused.set(code, (refused.get(code) ?? 0) + 1);
        await delay(10);
      }
  };
  const all = Promise.all(Array.from({ length: callers }, (_, i) => caller(i)));
  all.catch(() => {}); // told by who waits, or by stop
  const until = (condition: () => void) => Promise.race([vi.waitFor(condition, PATIENCE), all]);
  const answers = (more = 50) => {
    const enough = answered + more;
    return until(() => expect(answered).toBeGreaterThanOrEqual(enough));
  };
  const refusals = (code: string) => until(() => expect(refused.get(code)).toBeGreaterThan(0));
  const stop = async () => {
    isOver = true;
    await all;
    return refused;
  };
  return { answers, refusals, stop };
}

/** A machine so busy that a call takes a second has it said that the token is silent, and rightly: no test here is about that. */
const lossesAndReturns = () => told.filter(({ kind }) => kind !== 'silent');
const kinds = () => lossesAndReturns().map(({ kind }) => kind);
const openingsUntil = (kind: string) => lossesAndReturns().find((each) => each.kind === kind)?.openings ?? Number.NaN;

describe('under load', () => {
  afterEach(back);

  it.each([
    ['pulled', ['vanish'], 'absent'],
    ['that answers DEVICE_ERROR to everything', ['fail 0x30'], 'failing'],
    ['that answers GENERAL_ERROR to everything', ['fail 0x5'], 'failing'],
    ['that answers FUNCTION_FAILED to what takes a key', ['fail 0x6 C_DeriveKey C_SignInit C_VerifyInit C_FindObjectsInit'], 'failing'],
    ['that answers GENERAL_ERROR to deriving', ['fail 0x5 C_DeriveKey'], 'failing'],
    ['that answers GENERAL_ERROR to public keys', ['fail 0x5 C_CreateObject'], 'failing'],
    ['that gives 31 bytes for 32', ['truncate'], 'unfit'],
    ['that answers GENERAL_ERROR to signing', ['fail 0x5 C_SignInit'], 'failing'],
    ['that answers nothing but errors to new sessions', ['close-sessions', 'fail 0x6 C_GetTokenInfo'], 'failing'],
    ['that takes no login', ['log-out', 'fail 0x30 C_Login'], 'failing'],
    ['that logs out whoever logs in', ['log-out', 'fail 0x101 C_DeriveKey C_SignInit C_VerifyInit C_FindObjectsInit'], 'logged_out'],
  ] as const)('a token %s is lost when it was opened anew once, and serves as soon as that succeeds', async (_, directives, fault) => {
    const work = load();
    await work.answers();
    const well = openings();
    faults.set(...directives);
    const look = async () => token.readBootRecord().catch(() => {}); // as Serving does
    await vi.waitFor(async () => {
      await look();
      expect(token.fault()).toBe(fault);
    }, PATIENCE);
    expect(openingsUntil(fault) - well).toBe(1);
    await work.refusals('TOKEN_UNAVAILABLE');
    await vi.waitFor(() => expect(openings() - well).toBeGreaterThan(4), PATIENCE);
    expect(token.fault()).toBe(fault);
    const ill = openings();
    faults.none();
    await work.answers();
    expect(openingsUntil('token-back') - ill).toBeLessThanOrEqual(2); // one may have been under way
    await work.stop();
    expect(kinds()).toEqual([fault, 'token-back']);
    expect(await token.readBootRecord()).toEqual(BOOT);
  });

  it.each([
    ['sessions that are closed', 'close-sessions'],
    ['a log-out', 'log-out'],
  ])('%s cost no call', async (_, directive) => {
    const work = load();
    await work.answers();
    faults.set(directive);
    await vi.waitFor(() => expect(kinds()).toEqual(['token-back']), PATIENCE);
    await work.answers();
    expect(await work.stop()).toEqual(new Map());
    expect(kinds()).toEqual(['token-back']);
  });

  it.each([
    ['DEVICE_ERROR', '0x30'],
    ['KEY_HANDLE_INVALID', '0x60'],
    ['GENERAL_ERROR', '0x5'],
  ])('one call that draws %s each time is refused alone', async (_, value) => {
    const work = load();
    faults.set(`fail-marked ${value}`);
    const marked = Buffer.alloc(32, 'M');
    for (let i = 0; i < 5; i++) await expect(token.mac(marked)).rejects.toMatchObject({ code: 'TOKEN_FAULT' });
    await work.answers();
    await expect(token.mac(randomBytes(32))).resolves.toHaveLength(32);
    expect(await work.stop()).toEqual(new Map());
    expect(kinds()).toEqual([]);
  });

  it('a token that is lost again and again is not served until it stays', async () => {
    const work = load();
    await work.answers();
    clock.hold(); // each time it is back no longer than a second, and nor is that over while it has to stay well
    onBack = () => faults.set('log-out');
    faults.set('log-out');
    await vi.waitFor(() => expect(token.fault()).toBe('logged_out'), PATIENCE);
    for (let i = 0; i < 2; i++) {
      const macs = faults.calls('C_SignInit');
      faults.set('log-out');
      await vi.waitFor(() => expect(faults.calls('C_SignInit') - macs).toBeGreaterThan(2 * MACS), PATIENCE); // it is open, and looked at
      expect(token.fault()).toBeDefined();
    }
    const [first, second, third, fourth, ...later] = kinds();
    expect([first, second, third, fourth]).toEqual(['token-back', 'token-back', 'token-back', 'logged_out']);
    expect(later).not.toContain('token-back'); // what else is said depends on when the log-out comes
    onBack = () => {};
    clock.letGo();
    await work.answers();
    expect(kinds().filter((kind) => kind === 'token-back')).toHaveLength(4);
    await work.stop();
  });
});

describe('what a failing token says is no verdict', () => {
  it.each(['0x5', '0x80000001', '0x30'])('on a proof (CKR %s)', async (value) => {
    const request = recovery();
    faults.set(`fail ${value} C_Verify`);
    const { code } = await token.release(request).then(
      () => ({ code: 'answered' }),
      (error: VaultError) => error,
    );
    expect(['TOKEN_UNAVAILABLE', 'TOKEN_FAULT']).toContain(code);
    faults.none();
    await vi.waitFor(() => token.release(request), PATIENCE);
    await expect(token.release({ ...request, attempt: 2 })).rejects.toMatchObject({ code: 'PROOF_REFUSED' });
    await back();
  });

  it.each(['0x2', '0x5', '0x6', '0x30', '0x31', '0x80000001'])(
    'on a MAC or a proof, where any value may mean that it is wrong (CKR %s)',
    (value) => {
      const profile = { ...location.profile, wrongSignature: 'any' } as const;
      const own = openReplica({ ...location, profile, module: shim }, pin());
      const digest = randomBytes(32);
      const tag = mac(own, digest);
      const transcript = new Transcript('test');
      const proof = signWith(A, transcript.digest);
      faults.set(`fail ${value} C_Verify`);
      expect(() => requireMac(own, digest, tag)).toThrow(expect.objectContaining({ code: 'TOKEN_UNAVAILABLE' }));
      expect(() => requireProof(own, multiple(A), transcript, proof)).toThrow(expect.objectContaining({ code: 'TOKEN_UNAVAILABLE' }));
      faults.none();
      expect(() => requireProof(own, multiple(A), transcript, proof)).not.toThrow();
      expect(() => requireProof(own, multiple(2n), transcript, proof)).toThrow(expect.objectContaining({ code: 'PROOF_REFUSED' }));
      expect(() => requireMac(own, digest, tag)).not.toThrow();
      expect(() => requireMac(own, digest, randomBytes(32))).toThrow(expect.objectContaining({ code: 'MAC_REFUSED' }));
      own.session.close();
    },
  );
});

it('a PIN is tried once where the token does not say in known words that it is wrong', async () => {
  const logins = faults.calls('C_Login');
  faults.set('log-out', 'fail 0x80000001 C_Login');
  await token.mac(randomBytes(32)).catch(() => {});
  await vi.waitFor(() => expect(token.fault()).toBe('pin_refused'), PATIENCE);
  faults.none();
  const reads = pinReads;
  await vi.waitFor(() => expect(pinReads - reads).toBeGreaterThan(3), PATIENCE);
  expect(token.fault()).toBe('pin_refused'); // it would be taken
  expect(faults.calls('C_Login') - logins).toBe(1);
  await back();
});

it('a session that cannot be replaced is the token’s fault, and not the call’s', async () => {
  faults.set('close-sessions', 'fail 0x6 C_GetTokenInfo');
  await expect(token.mac(randomBytes(32))).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' });
  await back();
});

it('a worker that ends while the token is being opened does not hold that up', async () => {
  const logins = faults.calls('C_Login');
  faults.set('log-out', 'at C_Login 1 hang');
  const call = token.mac(randomBytes(32));
  await vi.waitFor(() => expect(faults.calls('C_Login') - logins).toBe(1), PATIENCE);
  await (workers.at(-1) as Worker).terminate(); // has nothing to answer: the first one opens the token
  faults.none();
  await call.catch(() => {});
  await vi.waitFor(() => token.mac(randomBytes(32)), PATIENCE);
  await back();
});

it('a token that another daemon served with meanwhile is not served again', async () => {
  faults.set('vanish');
  await token.readBootRecord().catch(() => {});
  await vi.waitFor(() => expect(token.fault()).toBe('absent'), PATIENCE);
  const other = openReplica(location, pin()); // on SoftHSM2 itself, which the shim stands in front of
  writeBootRecord(other, new Uint8Array(32).fill(8));
  other.session.close();
  faults.none();
  await vi.waitFor(() => expect(token.fault()).toBe('taken'), PATIENCE);
  const tried = openings();
  await expect(token.readBootRecord()).rejects.toMatchObject({ code: 'GUARD_MISMATCH' });
  await expect(token.mac(randomBytes(32))).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' });
  await delay(500); // for what must not happen
  expect(openings()).toBe(tried);
  expect(kinds()).toEqual(['absent', 'taken']);
});
