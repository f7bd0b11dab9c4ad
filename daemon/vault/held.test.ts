import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { p256 } from '@noble/curves/nist.js';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { multiply, parseCurvePoint } from '../../client/curve.ts';
import { ownerKey } from '../../client/derive.ts';
import type { VaultError } from '../../primitives/errors.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import {
  DecideRequestSchema,
  HoldsRequestSchema,
  KeepListRequestSchema,
  RecallRequestSchema,
  ReleaseRequestSchema,
} from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import { listDigest, renderOwnerList } from '../../protocol/owner-list.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { ridFor } from '../../protocol/record-id.ts';
import { pointTranscript, vetoTranscript } from '../../protocol/transcripts.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { Guard } from '../ledger/guard.ts';
import { GuardStore } from '../ledger/guard-store.ts';
import type { Decided } from '../ledger/guarded.ts';
import { decide, holds } from './decide.ts';
import { adoptList, keepList } from './list.ts';
import { recall } from './recall.ts';
import { release } from './release.ts';
import { wouldSaySpent } from './spent.ts';
import type { Vault } from './vault.ts';

// One replica whose record has a hold. Its token says that each proof is right.

const fleet = new SoftFleet();
const { statement, name } = fleet;
const account = { tenant: SoftFleet.tenant, recordId: 'alice' };
const rid = ridFor(name, account.tenant, account.recordId);
const fill = (n: number, length = 32) => new Uint8Array(length).fill(n);
const at = (n: number) => p256.Point.BASE.multiply(BigInt(n)).toBytes() as CompressedPoint;
const HOLD = 10_000;
const GRACE = 1000;
const LIMIT = 2;
const g = fill(1, 16);
const owner = ownerKey(new SecretBytes(fill(5)), rid);
const pointHash = pointTranscript(at(2)).digest;

function generation(holdMs = HOLD) {
  const body = create(BodySchema, {
    ...{ version: 1, fleet: name, epoch: 1n, rid, g, threshold: 2, policy: { limit: LIMIT, coolDownMs: 0n, holdMs: BigInt(holdMs) } },
    shares: [1, 2, 3].map((index) => ({ index, x: index, mask: fill(0), releaseMask: fill(0) })),
    ...{ ownerKey: owner.publicKey, previous: new Uint8Array(0), payload: fill(0, 60) },
    ...{ proofKey: at(3), releaseBase: at(4), number: 1n, line: g },
  });
  const subRecord = { index: 1, enrolledAtMs: 1n, seed: fill(1), mac: fill(1), signature: fill(1, 64) };
  return { ...parseBody(body), prepared: [], subRecord, madeWith: fill(0, 8) };
}

let directory: string;
let guard: Guard;
let vault: Vault;
let now: number;
const verify = vi.fn();

async function serve(holdMs?: number): Promise<void> {
  await guard.prepare(
    rid,
    async () => generation(holdMs),
    async () => undefined,
  );
  await guard.promote(rid, g, async () => []);
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'held-'));
  const identity = { fleet: name, replica: 1, incarnation: 1 };
  await GuardStore.create(join(directory, 'guard'), identity);
  guard = new Guard(await GuardStore.open(join(directory, 'guard'), identity));
  now = 1_800_000_000_000;
  verify.mockReset();
  const token = { verify, release: async () => ({ released: fill(9), signature: fill(9, 64) }), sign: async () => fill(8, 64) };
  vault = {
    ...{ statement, self: statement.replicas[0], guard, token, clock: { now: () => now }, eraseGrace: GRACE },
    grants: { knows: () => true },
  } as unknown as Vault;
});

afterEach(async () => {
  await guard.close();
  await rm(directory, { recursive: true });
});

const count = (k: number, hash: Uint8Array, holdMs?: number) =>
  guard.count(
    { fleet: name, epoch: 1, rid, g, bodyHash: generation(holdMs).bodyHash, attempt: k, pointHash: hash },
    { grant: 'g', shown: [] } as never,
    now,
  );

async function counted(): Promise<void> {
  await serve();
  await count(1, pointHash);
}

const request = (attempt: number) =>
  create(ReleaseRequestSchema, {
    account,
    g,
    attempt,
    point: at(2),
    blindedBase: multiply(parseCurvePoint(at(4), 'T'), new SecretBytes(fill(1))),
    proof: fill(1, 64),
  });
const ask = (attempt = 1, said: readonly Decided[] = []) => release(vault, request(attempt), async () => said);
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error as VaultError).code,
  );
const veto = (signature: Uint8Array, hash = pointHash): Decided => ({
  attempt: 1,
  isVeto: true,
  signature,
  blindedBase: new Uint8Array(0),
  pointHash: hash,
});
const vetoed = () => owner.sign(vetoTranscript({ fleet: name, rid, g, attempt: 1, pointHash }));

test('the owner is told the number that is counted, whatever the proof says; one beyond the limit is refused', async () => {
  await counted();
  for (const attempt of [0, LIMIT + 1, 2 ** 32 - 1]) expect(await codeOf(ask(attempt))).toBe('MALFORMED');
  expect((await ask(2)).held?.untilMs).toBe(BigInt(now + HOLD));
  const { held } = await holds(vault, create(HoldsRequestSchema, { rid, g }));
  expect(held.map(({ attempt, index }) => [attempt, index])).toEqual([[1, 1]]);
});

test('a wrong proof begins no hold', async () => {
  await counted();
  verify.mockRejectedValueOnce(Object.assign(new Error('wrong'), { code: 'PROOF_REFUSED' }));
  expect(await codeOf(ask())).toBe('PROOF_REFUSED');
  expect((await guard.holds(rid)).size).toBe(0);
});

test('what others say stops it only with its owner’s signature, and for this point', async () => {
  await counted();
  await ask();
  now += HOLD;
  expect((await ask(1, [veto(fill(1, 64)), veto(vetoed(), fill(7))])).release).toBeDefined();
});

test('a veto that another one knows is one here', async () => {
  await counted();
  await ask();
  now += HOLD;
  expect(await codeOf(ask(1, [veto(vetoed())]))).toBe('VETOED');
  expect(await codeOf(ask())).toBe('VETOED');
});

test('a decision under a number that no attempt has is refused: what is told of it would be believed by nobody', async () => {
  await counted();
  const decideAs = (attempt: number) => {
    const signature = owner.sign(vetoTranscript({ fleet: name, rid, g, attempt, pointHash }));
    return decide(vault, create(DecideRequestSchema, { rid, g, attempt, pointHash, veto: true, signature, epoch: 1n }));
  };
  for (const attempt of [0, LIMIT + 1]) expect(await codeOf(decideAs(attempt))).toBe('MALFORMED');
  expect((await decideAs(LIMIT)).decided).toMatchObject({ index: 1, meeting: 2 }); // whichever it is counted as
});

test('it is spent no sooner than a hold could be over that began with the last attempt', async () => {
  await counted();
  await count(2, fill(6));
  now += GRACE + HOLD - 1;
  expect(await wouldSaySpent(vault, rid, g)).toBe(false);
  now += 1;
  expect(await wouldSaySpent(vault, rid, g)).toBe(true);
});

test('a replica that said so begins no hold, although a point is voted for afterwards that was only shown before', async () => {
  await serve();
  await guard.count(
    { fleet: name, epoch: 1, rid, g, bodyHash: generation().bodyHash, attempt: 2, pointHash } as never,
    { grant: 'g', shown: [{ pointHash: fill(6), grant: 'g' }] } as never,
    now,
  );
  now += GRACE + HOLD;
  expect(await guard.holdNoMore(rid, g, now - GRACE)).toBe(true);
  await count(1, fill(6));
  expect(await codeOf(ask(2))).toBe('EXHAUSTED');
});

test('nothing is told of a record without a hold, and none is kept', async () => {
  await serve(0);
  await count(1, pointHash, 0);
  expect((await ask()).release).toBeDefined();
  expect(await holds(vault, create(HoldsRequestSchema, { rid, g }))).toMatchObject({ held: [], decided: [] });
});

test('a list is kept beside it only with its owner’s signature, also where another replica hands it over', async () => {
  await serve();
  const list = { counter: 1n, content: Uint8Array.of(1, 2, 3) };
  const signature = owner.sign(listDigest(name, rid, list));
  const forged = renderOwnerList({ ...list, signature: fill(1, 64) });
  const own = renderOwnerList({ ...list, signature });
  expect(await codeOf(keepList(vault, create(KeepListRequestSchema, { rid, g, epoch: 1n, list: forged })))).toBe('OWNER_REFUSED');
  expect(await adoptList(vault, rid, g, forged)).toBe(true);
  expect(await guard.list(rid)).toBeUndefined();
  expect(await adoptList(vault, rid, g, own)).toBe(true);
  expect((await guard.list(rid))?.counter).toBe(1n);
  expect((await recall(vault, create(RecallRequestSchema, { rid, epoch: 1n }))).list?.counter).toBe(1n);
  expect(await codeOf(keepList(vault, create(KeepListRequestSchema, { rid, g, epoch: 2n })))).toBe('STATEMENT_MISMATCH');
});

test('a list that comes before its generation is live is to be handed over again', async () => {
  const own = renderOwnerList({
    counter: 1n,
    content: Uint8Array.of(1),
    signature: owner.sign(listDigest(name, rid, { counter: 1n, content: Uint8Array.of(1) })),
  });
  expect(await adoptList(vault, rid, g, own)).toBe(true); // it holds nothing of it
  await guard.prepare(
    rid,
    async () => generation(),
    async () => undefined,
  );
  expect(await adoptList(vault, rid, g, own)).toBe(false);
});
