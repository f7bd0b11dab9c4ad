import { create, toBinary } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publicKeyOf, randomScalar } from '../../client/curve.ts';
import { connectPeer } from '../../daemon/replica/peer.ts';
import { concat } from '../../primitives/bytes.ts';
import { type SeedShare, SeedShareSchema, type Signed } from '../../proto/gen/backupvault/v1/record_pb.ts';
import {
  ForgetRequestSchema,
  GiveBackRequestSchema,
  GiveBackResponseSchema,
  KeepRequestSchema,
  PrepareResponseSchema,
  RecallRequestSchema,
  RecallResponseSchema,
  ShowRequestSchema,
  ShowResponseSchema,
} from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { ORDER } from '../../protocol/scalar.ts';
import { pointTranscript, voteTranscript } from '../../protocol/transcripts.ts';
import { evaluateRequest, type Guess, guess, proofBy, releaseRequest, voteRequest, votes } from './support/attempt.ts';
import { CODE, type Draft, draftEnrolment, enrolled, erasure, prepareRequest } from './support/draft.ts';
import { eventually } from './support/eventually.ts';
import { refusalOf } from './support/refusals.ts';
import { stolenSubRecords } from './support/stolen-guard.ts';
import { openStolenToken } from './support/stolen-token.ts';
import { type Vote, World } from './support/world.ts';

// It has the certificate of replica 2 and speaks to replica 1's peer port as any coordinator does.

let world: World;

beforeAll(async () => {
  world = await World.open();
});

afterAll(() => world?.close());

describe('a coordinator that evaluates', () => {
  let draft: Draft;
  let honest: Guess;
  let collected: Vote[];

  beforeAll(async () => {
    draft = await enrolled(world, 'coordinated');
    honest = await guess(world, draft, 'a code');
    collected = await votes(world, voteRequest(draft, honest, 1), [2, 3]);
  });

  const evaluate = (by: Guess, attempt: number, with_: readonly Vote[]) =>
    refusalOf(world.peer(1).calls.evaluate(evaluateRequest(voteRequest(draft, by, attempt), with_)));

  test('needs a grant, for this operation, record, generation and point', async () => {
    const { recordId, g } = draft;
    const other = await guess(world, draft, 'another code');
    const authorises = pointTranscript(honest.blinded.point).digest;
    for (const grant of [
      '',
      other.grant,
      await world.grant({ operation: 'finish-enrolment', recordId, g, authorises }),
      await world.grant({ operation: 'begin-recovery', recordId: 'another', g, authorises }),
      await world.grant({ operation: 'begin-recovery', recordId, g: g.map((byte) => byte ^ 1), authorises }),
      await world.grant({ operation: 'begin-recovery', recordId, g, authorises, fleet: 'another' }),
      await world.grant({ operation: 'begin-recovery', recordId, g, authorises }, world.rival),
    ]) {
      const granted = { ...honest, grant };
      expect(await refusalOf(world.peer(1).calls.vote(voteRequest(draft, granted, 1)))).toBe('GRANT_REFUSED');
      expect(await evaluate(granted, 1, collected)).toBe('GRANT_REFUSED');
    }
  });

  test('needs the votes of t distinct holders for this very attempt', async () => {
    const [second, third] = collected as [Vote, Vote];
    const other = await guess(world, draft, 'a code of an attempt that was never counted');
    const forged = { ...third, signature: third.signature.map((byte, i) => (i === 40 ? byte ^ 1 : byte)) };
    expect(await evaluate(honest, 1, [])).toBe('VOTES_REFUSED');
    expect(await evaluate(honest, 1, [second])).toBe('VOTES_REFUSED');
    expect(await evaluate(honest, 1, [second, second, second])).toBe('VOTES_REFUSED');
    expect(await evaluate(honest, 1, [second, forged])).toBe('VOTES_REFUSED');
    expect(await evaluate(honest, 1, [second, { ...third, index: 1 }])).toBe('VOTES_REFUSED');
    expect(await evaluate(honest, 1, [second, { ...third, index: 4 }])).toBe('VOTES_REFUSED');
    expect(await evaluate(honest, 2, collected)).toBe('VOTES_REFUSED');
    expect(await evaluate(other, 1, collected)).toBe('VOTES_REFUSED');
    expect(await evaluate(honest, 1, collected)).toBe('ACCEPTED');
  });

  test('has no other point evaluated for a spent attempt', async () => {
    const other = await guess(world, draft, 'another code');
    for (const index of [1, 2, 3])
      expect(await refusalOf(world.peer(index).calls.vote(voteRequest(draft, other, 1)))).toBe('ATTEMPT_CONFLICT');
  });

  test('has no attempt beyond the limit, and no attempt 0', async () => {
    const other = await guess(world, draft, 'another code');
    const { limit } = draft.body.policy;
    for (const attempt of [0, limit + 1, 2 ** 32 - 1])
      expect(await refusalOf(world.peer(1).calls.vote(voteRequest(draft, other, attempt)))).toBe('EXHAUSTED');
  });

  test('spends one attempt with one grant, and no more', async () => {
    for (const attempt of [2, 3])
      expect(await refusalOf(world.peer(1).calls.vote(voteRequest(draft, honest, attempt)))).toBe('ATTEMPT_CONFLICT');
  });

  test('gets no votes of one record or generation for another', async () => {
    const other = await enrolled(world, 'coordinated-2');
    const theirs = await guess(world, other, 'a code');
    const wrong = evaluateRequest(voteRequest(other, theirs, 1), collected);
    expect(await refusalOf(world.peer(1).calls.evaluate(wrong))).toBe('VOTES_REFUSED');
    const mixed = { ...voteRequest(draft, honest, 1), bodyHash: other.bodyHash };
    expect(await refusalOf(world.peer(1).calls.vote(mixed))).toBe('GENERATION_UNKNOWN');
  });
});

test('a vote of a replica that holds no share does not count', async () => {
  const draft = await enrolled(world, 'two-holders', { among: [1, 2] });
  const honest = await guess(world, draft, 'a code');
  const request = voteRequest(draft, honest, 1);
  expect(await refusalOf(world.peer(3).calls.vote(request))).toBe('GENERATION_UNKNOWN');

  // With the token of replica 3 in its hands it has a vote that is signed for this very attempt.
  const token = await openStolenToken(world, 3);
  const { fleet, epoch } = world.statement;
  const pointHash = pointTranscript(honest.blinded.point).digest;
  const transcript = voteTranscript(3, { fleet, epoch, rid: draft.rid, g: draft.g, bodyHash: draft.bodyHash, attempt: 1, pointHash });
  const third: Vote = { $typeName: 'backupvault.v1.Vote', index: 3, signature: await token.sign(transcript.digest) };
  await token.close();
  const [first, second] = (await votes(world, request, [1, 2])) as [Vote, Vote];
  expect(await refusalOf(world.peer(1).calls.evaluate(evaluateRequest(request, [first, third])))).toBe('VOTES_REFUSED');
  expect(await refusalOf(world.peer(1).calls.evaluate(evaluateRequest(request, [first, second])))).toBe('ACCEPTED');
});

describe('a coordinator that asks for a release', () => {
  test('needs a proof for this attempt, point and blinded base; what it gets wrong costs nothing', async () => {
    const draft = await enrolled(world, 'released');
    const honest = await guess(world, draft, 'correct horse');
    const other = await guess(world, draft, 'another code');
    const uncounted = await guess(world, draft, 'a third code');
    const releasing = (request: ReturnType<typeof releaseRequest>, index = 1) => refusalOf(world.peer(index).calls.release(request));
    const proven = releaseRequest(world, draft, honest, 1);

    expect(await releasing(proven)).toBe('ATTEMPT_UNKNOWN'); // nobody counted it yet
    await votes(world, voteRequest(draft, honest, 1), [1, 2, 3]);
    await votes(world, voteRequest(draft, other, 2), [1]);
    expect(await releasing({ ...proven, attempt: 2 })).toBe('PROOF_REFUSED');
    expect(await releasing({ ...proven, attempt: 3 })).toBe('PROOF_REFUSED');
    expect(await releasing({ ...proven, point: uncounted.blinded.point })).toBe('ATTEMPT_UNKNOWN');
    expect(await releasing({ ...proven, point: other.blinded.point })).toBe('PROOF_REFUSED');
    expect(await releasing({ ...proven, attempt: 2, point: other.blinded.point })).toBe('PROOF_REFUSED');
    expect(await releasing({ ...proven, blindedBase: publicKeyOf(randomScalar().expose()) })).toBe('PROOF_REFUSED');
    for (const index of [1, 2, 3]) expect(await releasing(proven, index)).toBe('ACCEPTED');
  });
});

describe('a proof of the code', () => {
  let draft: Draft;
  let other: Draft;
  let honest: Guess;
  let proven: ReturnType<typeof releaseRequest>;

  beforeAll(async () => {
    [draft, other] = [await enrolled(world, 'proven'), await enrolled(world, 'proven-2')];
    honest = await guess(world, draft, CODE);
    await votes(world, voteRequest(draft, honest, 1), [1, 2, 3]);
    await votes(world, voteRequest(draft, await guess(world, draft, 'another code'), 2), [1, 2, 3]);
    proven = releaseRequest(world, draft, honest, 1);
  });

  const zero = new Uint8Array(32);
  const byDevice = (changed: { attempt?: number; point?: Uint8Array; blindedBase?: Uint8Array; epoch?: number; of?: Draft }) => {
    const { attempt = 1, point = proven.point, blindedBase = proven.blindedBase, epoch = world.statement.epoch, of = draft } = changed;
    return proofBy({ statement: { fleet: world.statement.fleet, epoch } }, of, attempt, point, blindedBase);
  };

  test.each<[what: string, proof: () => Uint8Array]>([
    ['for another attempt', () => byDevice({ attempt: 2 })],
    ['for another point', () => byDevice({ point: draft.body.proofKey })],
    ['for another blinded base', () => byDevice({ blindedBase: draft.body.releaseBase })],
    ['for another epoch', () => byDevice({ epoch: world.statement.epoch + 1 })],
    ['of another record, by its own key', () => byDevice({ of: other })],
    ['for another record', () => byDevice({ of: { ...draft, rid: other.rid } })],
    ['for another generation', () => byDevice({ of: { ...draft, g: other.g } })],
    ['of zeros', () => new Uint8Array(64)],
    ['whose r is zero', () => concat(zero, proven.proof.slice(32))],
    ['whose s is zero', () => concat(proven.proof.slice(0, 32), zero)],
    ['whose r is q', () => concat(ORDER, proven.proof.slice(32))],
    ['whose s is q', () => concat(proven.proof.slice(0, 32), ORDER)],
  ])('%s is refused, and nothing is lost', async (_what, proof) => {
    const bent = { ...proven, proof: proof() };
    for (const index of [1, 2, 3]) expect(await refusalOf(world.peer(index).calls.release(bent))).toBe('PROOF_REFUSED');
    const { $typeName: _, account, ...asked } = bent;
    expect(await refusalOf(world.frontend().finishRecovery({ ...asked, recordId: draft.recordId }))).toBe('PROOF_REFUSED');
    expect((await world.store.attempts(draft.rid))?.points).toEqual([]); // only the guards were asked for these attempts
    expect(await refusalOf(world.peer(1).calls.release(proven))).toBe('ACCEPTED');
  });
});

test('a coordinator prepares and promotes nothing that was not granted and committed', async () => {
  const draft = await draftEnrolment(world, 'uncommitted');
  const request = await prepareRequest(world, draft, 1);
  expect(await refusalOf(world.peer(1).calls.prepare({ ...request, grant: '' }))).toBe('GRANT_REFUSED');
  await world.peer(1).calls.prepare(request);
  const account = { tenant: world.client.tenant, recordId: draft.recordId };
  const promote = {
    $typeName: 'backupvault.v1.PromoteRequest',
    account: { $typeName: 'backupvault.v1.Account', ...account },
    g: draft.g,
  } as const;
  const { prepared: second } = await world.peer(2).calls.prepare(await prepareRequest(world, draft, 2));
  const honest = await guess(world, draft, 'a code');
  for (const prepared of [[], [second as Signed]]) {
    // t prepared it, and etcd knows nothing of it
    expect(await refusalOf(world.peer(1).calls.promote({ ...promote, prepared }))).toBe('GENERATION_UNKNOWN');
    expect(await refusalOf(world.peer(1).calls.vote({ ...voteRequest(draft, honest, 1), prepared }))).toBe('GENERATION_UNKNOWN');
  }
});

test('a coordinator gets no seed of anybody’s, whatever it asks', async () => {
  const draft = await enrolled(world, 'seeds');
  const { rid, g, bodyHash } = draft;
  const epoch = BigInt(world.statement.epoch);
  const secrets = (await stolenSubRecords(world, draft)).flatMap(({ seed, mac }) => [seed, mac]);
  expect(secrets.length).toBeGreaterThanOrEqual(4);
  for (const index of [1, 2, 3]) {
    const { calls } = world.peer(index, world.replica(index === 2 ? 3 : 2).tls);
    const said = [
      toBinary(PrepareResponseSchema, await calls.prepare(await prepareRequest(world, draft, index))),
      toBinary(RecallResponseSchema, await calls.recall(create(RecallRequestSchema, { rid, epoch }))),
      toBinary(ShowResponseSchema, await calls.show(create(ShowRequestSchema, { rid, bodyHash }))),
      toBinary(GiveBackResponseSchema, await calls.giveBack(create(GiveBackRequestSchema, { rid, epoch }))),
    ];
    for (const secret of secrets) expect(said.some((bytes) => Buffer.from(bytes).includes(Buffer.from(secret)))).toBe(false);
  }
  const unknown = await world.peer(1).calls.show(create(ShowRequestSchema, { rid, bodyHash: bodyHash.map((byte) => byte ^ 1) }));
  expect(unknown.shown).toBeUndefined();
  expect(await refusalOf(world.peer(1).calls.show(create(ShowRequestSchema, { rid: g, bodyHash })))).toBe('MALFORMED');
});

describe('a replica that deals shares of its seeds', () => {
  let draft: Draft;
  const asSecond = () => world.peer(1).calls;
  const epoch = () => BigInt(world.statement.epoch);
  const shareOf = ({ body: { g, line, number, epoch: of } }: Draft, fields: Partial<SeedShare> = {}) =>
    create(SeedShareSchema, {
      ...{ g, line, number, epoch: of, deal: new Uint8Array(12), share: new Uint8Array(33).fill(5), enrolledAtMs: 1n },
      ...{ mac: new Uint8Array(32), signature: new Uint8Array(64), guard: 1, ...fields },
    });
  const keep = ({ rid }: Draft, share = shareOf(draft), of = epoch(), calls = asSecond()) =>
    refusalOf(calls.keep(create(KeepRequestSchema, { rid, epoch: of, share })));

  beforeAll(async () => {
    draft = await enrolled(world, 'dealt');
  });

  test('has them kept, and gets none back while the statement does not say that its guard was lost', async () => {
    for (const guard of [0, 1, 2]) {
      expect(await keep(draft, shareOf(draft, { guard }))).toBe('ACCEPTED'); // whichever it says that its guard is
      const { shares } = await asSecond().giveBack(create(GiveBackRequestSchema, { rid: draft.rid, epoch: epoch() }));
      expect(shares).toEqual([]);
    }
  });

  test('is heard as who its certificate says, in its own epoch, and with what can be kept', async () => {
    const { rid } = draft;
    expect(await keep(draft, shareOf(draft), epoch() + 1n)).toBe('STATEMENT_MISMATCH');
    expect(await refusalOf(asSecond().giveBack(create(GiveBackRequestSchema, { rid, epoch: epoch() + 1n })))).toBe('STATEMENT_MISMATCH');
    expect(await keep(draft, shareOf(draft), epoch(), world.peer(1, world.replica(1).tls).calls)).toBe('MALFORMED'); // of its own seed
    expect(await keep(draft, shareOf(draft, { share: new Uint8Array(34) }))).toBe('MALFORMED');
    expect(await refusalOf(asSecond().keep(create(KeepRequestSchema, { rid, epoch: epoch() })))).toBe('MALFORMED');
  });

  test('has none kept of what was replaced, or erased', async () => {
    const second = await enrolled(world, 'dealt', { replaces: draft });
    const ofTheFirst = (): Promise<string> => keep(second, shareOf(draft));
    expect(await eventually('GENERATION_UNKNOWN', ofTheFirst)).toBe('GENERATION_UNKNOWN'); // once replica 1 serves the second
    expect(await keep(second, shareOf(second))).toBe('ACCEPTED');
    await world.device().erase('dealt');
    for (const each of [draft, second]) expect(await keep(second, shareOf(each))).toBe('GENERATION_UNKNOWN');
  });
});

test('a coordinator cannot have a live record forgotten', async () => {
  const kept = await enrolled(world, 'kept');
  const other = await enrolled(world, 'kept-2');
  const { rid, g } = kept;
  const forged = [1, 2, 3].map((index) => ({ index, signature: new Uint8Array(64).fill(index) }));
  for (const [wrong, code] of [
    [undefined, 'ERASURE_REFUSED'],
    [{}, 'ERASURE_REFUSED'],
    [{ spent: forged, erased: forged }, 'ERASURE_REFUSED'],
    [await erasure(world, other), 'GRANT_REFUSED'],
  ] as const)
    expect(await refusalOf(world.peer(1).calls.forget(create(ForgetRequestSchema, { rid, g, ...(wrong && { erasure: wrong }) })))).toBe(
      code,
    );
  expect(await refusalOf(world.device().recover({ recordId: 'kept', code: CODE, renew: false }))).toBe('ACCEPTED');
});

describe('certificates', () => {
  test('a frontend is no peer, and a replica no frontend', async () => {
    const draft = await enrolled(world, 'certificates');
    const request = voteRequest(draft, await guess(world, draft, 'a code'), 1);
    const asFrontend = world.peer(1, world.client.tls).calls.vote(request);
    await expect(asFrontend).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', cause: { code: status.UNAVAILABLE } });
    const asReplica = world.frontend(world.replica(2).tls).describeRecord({ recordId: 'certificates' });
    await expect(asReplica).rejects.toMatchObject({ code: status.UNAVAILABLE });
  });

  test('a replica that answers for another is not heard', async () => {
    const draft = await enrolled(world, 'impostor');
    const request = voteRequest(draft, await guess(world, draft, 'a code'), 1);
    const impostor = connectPeer({ fleet: world.client.fleet, index: 1, address: world.replica(3).peer, tls: world.replica(2).tls });
    await expect(impostor.calls.vote(request)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', cause: { code: status.UNAVAILABLE } });
    impostor.close();
  });
});
