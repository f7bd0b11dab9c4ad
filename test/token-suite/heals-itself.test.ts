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
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import type { VaultError } from '../../primitives/errors.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { Transcript } from '../../protocol/transcript.ts';
import { proofTranscript } from '../../protocol/transcripts.ts';
import { lift, type XCoordinate, xOf } from '../../protocol/x-coordinate.ts';
import { behindShim, compileFaultShim, Faults } from '../harness/fault-shim.ts';
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
const { location, directory } = makeTestToken(afterAll, { workers: 3, callTimeout: 3000 });
const faults = new Faults(process.env.SOFTHSM2_CONF as string);
Object.assign(process.env, behindShim(location.module));
const shim = compileFaultShim(directory);

const events: TokenEvent[] = [];
let written = 0;
let token: OpenToken;
let stored: StoredGeneration;
/** Points, and what they evaluate to. */
let table: readonly (readonly [CompressedPoint, XCoordinate])[];
const storedPinNow = () => ({ pin: pin(), stamp: String(written) });
const A = 5n;
const BOOT = new Uint8Array(32).fill(7);

beforeAll(async () => {
  const { profile, tokenLabel, fleet, index, epoch } = location;
  const onEvent = (event: TokenEvent) => events.push(event);
  token = await openToken({ profile, module: shim, tokenLabel, fleet, index, epoch, pin: storedPinNow, onEvent });
  await token.writeBootRecord(BOOT);
  const generation = { rid: randomBytes(32), g: randomBytes(16), seed: randomBytes(32) };
  const offered = await token.offer({ ...generation, point: multiple(1n), ...ticketFields(A) });
  const body = { ...generation, bodyHash: randomBytes(32), enrolledAtMs: 1n };
  const { mac } = await token.prepare({ ...body, previous: new Uint8Array(0), point: multiple(1n), ...offered });
  stored = { ...body, epoch, mac };
  const scalars = Array.from({ length: 32 }, (_, i) => BigInt(i + 2));
  table = scalars.map((scalar) => [multiple(scalar), xOf(multiply(lift(offered.evaluated), scalar))]);
  events.length = 0; // of a machine so busy that opening took long
});

const back = async () => {
  faults.none();
  written++;
  await vi.waitFor(() => expect(token.fault()).toBeUndefined(), 5000);
  await delay(1100); // what comes next is no relapse
  events.length = 0;
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
  let lastAnswer: Millis = 0;
  const caller = async (i: number) => {
    for (let turn = i; !isOver; turn++)
      try {
        const [point, expected] = table[turn % table.length] as (typeof table)[number];
        const { evaluated } = await token.evaluate({ generation: stored, point, attempt: 1, limit: 3 });
        if (!constantTimeEqual(evaluated, expected)) throw new Error('a wrong answer');
        if (i === 0) await token.release(recovery());
        answered++;
        lastAnswer = performance.now();
      } catch (error) {
        const { code } = error as { code?: string };
        if (code !== 'TOKEN_UNAVAILABLE' && code !== 'TOKEN_FAULT') throw error;
        refused.set(code, (refused.get(code) ?? 0) + 1);
        await delay(10);
      }
  };
  const all = Promise.all(Array.from({ length: callers }, (_, i) => caller(i)));
  all.catch(() => {}); // told by stop
  const stop = async () => {
    isOver = true;
    await all;
    return { refused, answered };
  };
  return { stop, answered: () => answered, lastAnswer: () => lastAnswer };
}

async function answersAgain(work: ReturnType<typeof load>): Promise<Millis> {
  const [from, before] = [performance.now(), work.answered()];
  await vi.waitFor(() => expect(work.answered()).toBeGreaterThan(before), { timeout: 5000, interval: 10 });
  return work.lastAnswer() - from;
}

const kinds = () => events.map((event) => (event.kind === 'token-lost' ? event.fault : event.kind));

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
  ] as const)('a token %s is lost at once, and serves a second after it is back', async (_, directives, fault) => {
    const work = load();
    await delay(300);
    faults.set(...directives);
    const lost = performance.now();
    const look = async () => token.readBootRecord().catch(() => {}); // as Serving does
    await vi.waitFor(async () => {
      await look();
      expect(token.fault()).toBe(fault);
    }, 1000);
    expect(performance.now() - lost).toBeLessThan(1000);
    await delay(600);
    expect(token.fault()).toBe(fault);
    faults.none();
    expect(await answersAgain(work)).toBeLessThan(1000);
    const { refused } = await work.stop();
    expect(refused.get('TOKEN_UNAVAILABLE')).toBeGreaterThan(0);
    expect(kinds()).toEqual([fault, 'token-back']);
    expect(await token.readBootRecord()).toEqual(BOOT);
  });

  it.each([
    ['sessions that are closed', 'close-sessions'],
    ['a log-out', 'log-out'],
  ])('%s cost no call', async (_, directive) => {
    const work = load();
    await delay(300);
    faults.set(directive);
    await delay(1000);
    const { refused, answered } = await work.stop();
    expect(refused).toEqual(new Map());
    expect(answered).toBeGreaterThan(50);
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
    await delay(300);
    await expect(token.mac(randomBytes(32))).resolves.toHaveLength(32);
    expect((await work.stop()).refused).toEqual(new Map());
    expect(kinds().filter((kind) => kind !== 'module-recycled')).toEqual([]);
  });

  it('a token that is lost again and again is not served until it stays', async () => {
    const work = load();
    for (let i = 0; i < 10; i++) {
      faults.set('log-out');
      await delay(400);
    }
    expect(token.fault()).toBe('logged_out');
    expect(kinds().filter((kind) => kind === 'logged_out')).toHaveLength(1);
    expect(kinds().filter((kind) => kind === 'token-back').length).toBeLessThanOrEqual(4);
    expect(await answersAgain(work)).toBeLessThan(2000);
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
    await vi.waitFor(() => token.release(request), 2000);
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
  faults.set('log-out', 'fail 0x80000001 C_Login');
  await token.mac(randomBytes(32)).catch(() => {});
  await vi.waitFor(() => expect(token.fault()).toBe('pin_refused'));
  faults.none();
  await delay(500);
  expect(token.fault()).toBe('pin_refused'); // it would be taken
  await back();
});

it('a session that cannot be replaced is the token’s fault, and not the call’s', async () => {
  faults.set('close-sessions', 'fail 0x6 C_GetTokenInfo');
  await expect(token.mac(randomBytes(32))).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' });
  await back();
});

it('a worker that ends while the token is being opened does not hold that up', async () => {
  faults.set('latency 10000', 'log-out');
  const call = token.mac(randomBytes(32));
  await delay(200);
  await (workers.at(-1) as Worker).terminate(); // has nothing to answer: the first one opens the token
  await call.catch(() => {});
  await vi.waitFor(() => token.mac(randomBytes(32)), 5000);
  await back();
});

describe('a slow token', () => {
  afterEach(back);

  it('a token that hangs is silent, and what was asked of it is answered or refused in time', async () => {
    faults.set('hang');
    const asked = performance.now();
    await expect(token.mac(randomBytes(32))).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' });
    expect(performance.now() - asked).toBeLessThan(3500);
    faults.none();
    await expect(token.mac(randomBytes(32))).resolves.toHaveLength(32);
  });

  it('calls that the token is too slow for are told BUSY in time, and none is forgotten', async () => {
    faults.set('latency 200000');
    const calls = Array.from({ length: 100 }, () => token.mac(randomBytes(32)));
    const results = await Promise.allSettled(calls);
    const codes = results.map((result) => (result.status === 'fulfilled' ? 'answered' : result.reason.code));
    expect(codes.slice(0, 10)).toEqual(Array(10).fill('answered'));
    expect(codes.slice(-50)).toEqual(Array(50).fill('BUSY'));
    expect(codes.filter((code) => code === 'TOKEN_UNAVAILABLE').length).toBeLessThanOrEqual(6); // under way when time was up
  });
});

it('a token that another daemon served with meanwhile is not served again', async () => {
  faults.set('vanish');
  await token.readBootRecord().catch(() => {});
  await vi.waitFor(() => expect(token.fault()).toBe('absent'));
  const other = openReplica(location, pin()); // on SoftHSM2 itself, which the shim stands in front of
  writeBootRecord(other, new Uint8Array(32).fill(8));
  other.session.close();
  faults.none();
  await vi.waitFor(() => expect(token.fault()).toBe('taken'));
  await expect(token.readBootRecord()).rejects.toMatchObject({ code: 'GUARD_MISMATCH' });
  await expect(token.mac(randomBytes(32))).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' });
  await delay(500);
  expect(kinds()).toEqual(['absent', 'taken']);
});
