import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ownerKey } from '../../client/derive.ts';
import { renderShown, type Shown } from '../../daemon/ledger/guarded.ts';
import { toHex } from '../../primitives/bytes.ts';
import {
  type Attempts,
  AttemptsSchema,
  BodySchema,
  GrantedPointSchema,
  RecordState,
  type Signed,
} from '../../proto/gen/backupvault/v1/record_pb.ts';
import { ForgetRequestSchema, PromoteRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import { pointTranscript, replaceTranscript } from '../../protocol/transcripts.ts';
import { guess, voteRequest } from './support/attempt.ts';
import { type Draft, draftEnrolment, enrolled, erasure, finishRequest, prepareRequest } from './support/draft.ts';
import { refusalOf } from './support/refusals.ts';
import { stolenSubRecords } from './support/stolen-guard.ts';
import { World } from './support/world.ts';

// etcd is in hostile hands: its values are written here with a replica's etcd certificate, at any moment.

let world: World;

beforeAll(async () => {
  world = await World.open();
});

afterAll(() => world?.close());

const writeRegister = (rid: Uint8Array, attempts: Attempts) => put(`a/${toHex(rid)}`, toBinary(AttemptsSchema, attempts));
const put = (key: string, value: Uint8Array) => world.etcd.commit({ conditions: [], writes: [{ put: key, value }], otherwise: [] });

const erase = (rid: Uint8Array) => world.etcd.commit({ conditions: [], writes: [{ delete: `a/${toHex(rid)}` }], otherwise: [] });

async function recover(draft: Draft, code: string): Promise<string> {
  const { blinded, grant } = await guess(world, draft, code);
  return refusalOf(world.frontend().beginRecovery({ recordId: draft.recordId, g: draft.g, point: blinded.point, grant }));
}

async function registerOf({ rid }: Draft): Promise<Attempts> {
  const attempts = await world.store.attempts(rid);
  if (!attempts) throw new Error('no register');
  return attempts;
}

test('no rollback of the register lets more distinct points than the limit be evaluated', async () => {
  const limit = 3;
  const draft = await enrolled(world, 'rolled-back', { limit });
  const subRecords = await stolenSubRecords(world, draft);
  const tokens = world.watchTokens();
  const first = await registerOf(draft);
  const filler = Array.from({ length: 10 }, (_, i) => create(GrantedPointSchema, { hash: pointTranscript(Uint8Array.of(i)).digest }));

  const outcomes: string[] = [];
  // However many attempts etcd pretends were made, and whatever limit, each with another code.
  for (const used of [0, 0, 1, 0, 2, 1, 3, 2, 9])
    for (const raised of [limit, 10]) {
      await writeRegister(draft.rid, create(AttemptsSchema, { ...first, limit: raised, points: filler.slice(0, used) }));
      outcomes.push(await recover(draft, `code ${outcomes.length}`));
    }

  expect(outcomes.filter((outcome) => outcome === 'ACCEPTED')).toHaveLength(limit);
  expect(new Set(outcomes)).toEqual(new Set(['ACCEPTED', 'EXHAUSTED']));
  expect(subRecords.length).toBeGreaterThanOrEqual(2);
  for (const subRecord of subRecords)
    expect(tokens[subRecord.index - 1]?.evaluatedUnder(draft.body, subRecord).size).toBeLessThanOrEqual(limit);
});

test('no lie about an erasure lets an enrolment that is sent again give its attempts back', async () => {
  const limit = 2;
  const draft = await enrolled(world, 'erased-and-again', { limit });
  const finish = await finishRequest(world, draft); // whoever relayed it has it still, and its tickets are good for minutes
  const subRecords = await stolenSubRecords(world, draft);
  const tokens = world.watchTokens();
  const first = await registerOf(draft);
  const outcomes: string[] = [];
  for (const round of [1, 2]) {
    for (const code of ['one', 'two']) outcomes.push(await recover(draft, `${code} of round ${round}`));
    await writeRegister(draft.rid, create(AttemptsSchema, { ...first, state: RecordState.ERASED }));
    for (const index of [1, 2, 3]) {
      const request = create(ForgetRequestSchema, { rid: draft.rid, g: draft.g });
      expect(await refusalOf(world.peer(index).calls.forget(request))).toBe('ERASURE_REFUSED');
    }
    await erase(draft.rid);
    expect(await refusalOf(world.frontend().finishEnrollment(finish))).toBe('ACCEPTED'); // the guards have it still, with its attempts
  }
  expect(outcomes).toEqual(['ACCEPTED', 'ACCEPTED', 'EXHAUSTED', 'EXHAUSTED']);
  expect(subRecords.length).toBeGreaterThanOrEqual(2);
  for (const subRecord of subRecords)
    expect(tokens[subRecord.index - 1]?.evaluatedUnder(draft.body, subRecord).size).toBeLessThanOrEqual(limit);
});

test('no lie about an erasure lets an enrolment that is sent again replace a later one', async () => {
  const first = await enrolled(world, 'replaced-and-again');
  const finish = await finishRequest(world, first);
  const second = await enrolled(world, 'replaced-and-again', { replaces: first });
  const register = await registerOf(second);
  await writeRegister(second.rid, create(AttemptsSchema, { ...register, g: new Uint8Array(0), state: RecordState.ERASED }));
  expect(await refusalOf(world.frontend().finishEnrollment(finish))).toBe('GENERATION_CONFLICT');
  await writeRegister(second.rid, register);
  expect(await recover(second, 'a code')).toBe('ACCEPTED');
});

test('a register that was deleted neither serves the old generation nor lets anybody enrol over it', async () => {
  const draft = await enrolled(world, 'deleted');
  await erase(draft.rid);
  expect(await recover(draft, 'a code')).toBe('RECORD_UNKNOWN');
  const over = await draftEnrolment(world, 'deleted');
  expect(await refusalOf(world.frontend().finishEnrollment(await finishRequest(world, over)))).toBe('GENERATION_CONFLICT');
});

test('an old generation that is put back is unknown to the guards', async () => {
  const first = await enrolled(world, 'put-back');
  const [before, subRecords] = [await registerOf(first), await stolenSubRecords(world, first)];
  const second = await enrolled(world, 'put-back', { replaces: first });
  const tokens = world.watchTokens();
  await writeRegister(first.rid, before);

  expect(await recover(first, 'a code')).toBe('GENERATION_UNKNOWN'); // nobody has its body any more
  const asked = voteRequest(first, await guess(world, first, 'a code'), 1);
  for (const index of [1, 2, 3]) expect(await refusalOf(world.peer(index).calls.vote(asked))).toBe('GENERATION_UNKNOWN');
  expect(await recover(second, 'a code')).toBe('GENERATION_UNKNOWN'); // says etcd; the guards would serve it
  expect(subRecords.length).toBeGreaterThanOrEqual(2);
  for (const subRecord of subRecords) expect(tokens[subRecord.index - 1]?.evaluatedUnder(first.body, subRecord)).toEqual(new Set());
});

/** Prepared by all three, and committed by etcd's word; nobody was asked to promote it. */
async function committedAlone(recordId: string) {
  const draft = await draftEnrolment(world, recordId);
  const prepare = async (index: number) =>
    (await world.peer(index).calls.prepare(await prepareRequest(world, draft, index))).prepared as Signed;
  const prepared = await Promise.all([1, 2, 3].map(prepare));
  const { g, bodyHash } = draft;
  const { policy, epoch } = draft.body;
  const register = create(AttemptsSchema, {
    ...{ incarnation: 1n, g, bodyHash, limit: policy.limit, state: RecordState.LIVE },
    ...{ number: 1n, epoch, line: g, holders: [1, 2, 3] },
  });
  await writeRegister(draft.rid, register);
  return { draft, prepared, register };
}

/** What a replica is shown by whoever asks it to promote a generation, or to vote for it: what fewer than t signed, or nobody did. */
function tooFew(prepared: readonly Signed[], own: number): Signed[][] {
  const [mine, other] = [prepared.find(({ index }) => index === own), prepared.find(({ index }) => index !== own)] as [Signed, Signed];
  const flipped = prepared.map((signed) => ({ ...signed, signature: signed.signature.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) }));
  return [
    [],
    [mine],
    [mine, mine, mine],
    flipped,
    flipped.map((signed) => ({ ...signed, signature: signed.signature.slice(1) })),
    [1, 2, 3].map((index) => ({ ...mine, index })),
    [{ ...other, index: own }],
    [{ ...other, index: 4 }],
  ];
}

test('a replica promotes only what t replicas signed that they prepared, whatever it is shown with it', async () => {
  const { draft, prepared, register } = await committedAlone('edited');
  const account = { tenant: world.client.tenant, recordId: draft.recordId };
  const promote = (index: number, shown: readonly Signed[]) =>
    refusalOf(world.peer(index).calls.promote(create(PromoteRequestSchema, { account, g: draft.g, prepared: [...shown] })));
  const any = await guess(world, draft, 'a code');
  const vote = (index: number, shown: readonly Signed[], dry = false) =>
    refusalOf(world.peer(index).calls.vote({ ...voteRequest(draft, any, 1), prepared: [...shown], dry }));
  const another = (await committedAlone('edited-2')).prepared;

  for (const index of [1, 2, 3])
    for (const shown of [...tooFew(prepared, index), another]) {
      expect(await promote(index, shown)).toBe('GENERATION_UNKNOWN');
      for (const dry of [false, true]) expect(await vote(index, shown, dry)).toBe('GENERATION_UNKNOWN');
    }
  // Nor what etcd did not commit, though t signed that.
  const flipped = (bytes: Uint8Array) => bytes.map((byte) => byte ^ 1);
  for (const said of [{ bodyHash: flipped(draft.bodyHash) }, { g: flipped(draft.g) }, { state: RecordState.ERASED }]) {
    await writeRegister(draft.rid, create(AttemptsSchema, { ...register, ...said }));
    for (const index of [1, 2, 3]) {
      expect(await promote(index, prepared)).toBe('GENERATION_UNKNOWN');
      expect(await vote(index, prepared)).toBe('GENERATION_UNKNOWN');
    }
  }
  await writeRegister(draft.rid, register);
  expect(await promote(1, prepared)).toBe('ACCEPTED');
  expect(await vote(2, prepared)).toBe('ACCEPTED'); // it makes up for what it missed
  expect(await promote(3, prepared.slice(0, 1))).toBe('ACCEPTED'); // with its own there are t
});

test('a register that names another body serves nobody, and changes nothing for those who keep their own', async () => {
  const draft = await enrolled(world, 'kept-apart');
  const register = await registerOf(draft);
  const tokens = world.watchTokens();
  const subRecords = await stolenSubRecords(world, draft);
  const other = await enrolled(world, 'kept-apart-2');
  for (const bodyHash of [register.bodyHash.map((byte) => byte ^ 1), other.bodyHash]) {
    await writeRegister(draft.rid, create(AttemptsSchema, { ...register, bodyHash }));
    expect(await recover(draft, 'a code')).toBe('GENERATION_UNKNOWN');
    expect(await refusalOf(world.frontend().describeRecord({ recordId: draft.recordId }))).toBe('GENERATION_UNKNOWN');
  }
  for (const subRecord of subRecords) expect(tokens[subRecord.index - 1]?.evaluatedUnder(draft.body, subRecord)).toEqual(new Set());
  await writeRegister(draft.rid, register);
  expect(await recover(draft, 'a code')).toBe('ACCEPTED');
});

describe('where a replica missed what is replaced', () => {
  // Replica 1 has no share of the first. Of its owner it knows what etcd says, and what the coordinator shows.
  let first: Draft;
  let next: Draft;
  let shown: Shown;

  beforeAll(async () => {
    first = await enrolled(world, 'missed', { among: [2, 3] });
    next = await draftEnrolment(world, 'missed', { replaces: first });
    shown = await world.committed(first.rid);
  });

  const prepare = async (draft: Draft, replaced?: Shown) =>
    refusalOf(
      world.peer(1).calls.prepare({ ...(await prepareRequest(world, draft, 1)), ...(replaced && { replaced: renderShown(replaced) }) }),
    );

  test('it takes nothing without being shown that, nor with another body', async () => {
    const bent = parseBody(create(BodySchema, { ...shown.body, ownerKey: next.body.releaseBase.slice(1) }));
    const other = await enrolled(world, 'missed-2');
    expect(await prepare(next)).toBe('NOT_ENOUGH_REPLICAS');
    for (const { body, bodyHash } of [bent, next, other])
      expect(await prepare(next, { ...shown, body, bodyHash })).toBe('NOT_ENOUGH_REPLICAS');
  });

  test('it takes nothing with what fewer than t signed', async () => {
    const [one, two] = shown.prepared as [Signed, Signed];
    const doubled = [one, one, one];
    const renamed = [1, 2, 3].map((index) => ({ ...one, index }));
    const flipped = { ...two, signature: two.signature.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) };
    for (const prepared of [[], [one], doubled, renamed, [one, flipped]])
      expect(await prepare(next, { ...shown, prepared })).toBe('GENERATION_CONFLICT');
  });

  test('etcd and a coordinator together make nobody else its owner', async () => {
    // As it would be theirs: the same generation under an owner key of their own, which t replicas never prepared.
    const register = await registerOf(first);
    const thief = await draftEnrolment(world, 'missed-3');
    const stolen = parseBody(create(BodySchema, { ...shown.body, ownerKey: thief.body.ownerKey }));
    await writeRegister(first.rid, create(AttemptsSchema, { ...register, bodyHash: stolen.bodyHash }));
    const { fleet, epoch } = world.statement;
    const signed = ownerKey(thief.backupKey, thief.rid).sign(
      replaceTranscript({ fleet, epoch, rid: first.rid, g: next.g }, first.g, next.bodyHash),
    );
    const theirs = { ...next, ownerSignature: signed };
    expect(await prepare(theirs, { ...shown, ...stolen })).toBe('GENERATION_CONFLICT');
    await writeRegister(first.rid, register);
    expect(await prepare(theirs, { ...shown, ...stolen })).toBe('NOT_ENOUGH_REPLICAS');
    expect(await prepare(theirs, shown)).toBe('OWNER_REFUSED');
  });

  test('it takes what its owner signed, once it is shown what t prepared', async () => {
    expect(await prepare(next, shown)).toBe('ACCEPTED');
    const { enrolled: by } = await world.frontend().finishEnrollment(await finishRequest(world, next));
    expect(by.length).toBeGreaterThanOrEqual(2);
    expect(await recover(next, 'a code')).toBe('ACCEPTED');
  });
});

test('a register that cannot be read is an alarm', async () => {
  const draft = await enrolled(world, 'garbage');
  await put(`a/${toHex(draft.rid)}`, Uint8Array.of(0xff, 0xff));
  expect(await recover(draft, 'a code')).toBe('STORE_CORRUPT');
});

test.each([
  ['that its tenant signed', 'is not in the way of the next enrolment', 'ACCEPTED'],
  ['that only etcd says', 'lets nobody enrol over the record', 'OWNER_REFUSED'],
])('an erasure %s, and that no replica was told of, %s', async (_, __, expected) => {
  const draft = await enrolled(world, `untold-${expected}`);
  const by = expected === 'ACCEPTED' ? { erasure: await erasure(world, draft) } : {};
  await writeRegister(draft.rid, create(AttemptsSchema, { ...(await registerOf(draft)), state: RecordState.ERASED, points: [], ...by }));
  const next = await draftEnrolment(world, draft.recordId, { previous: draft.g });
  for (const { index } of next.tickets)
    expect(await refusalOf(world.peer(index).calls.prepare(await prepareRequest(world, next, index)))).toBe(expected);
});
