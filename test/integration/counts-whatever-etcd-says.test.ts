import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import {
  type Attempts,
  AttemptsSchema,
  GrantedPointSchema,
  RecordSchema,
  RecordState,
  type Record as StoredRecord,
} from '../../proto/gen/backupvault/v1/record_pb.ts';
import { ForgetRequestSchema, PromoteRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { pointTranscript } from '../../protocol/transcripts.ts';
import { guess } from './support/attempt.ts';
import { type Draft, draftEnrolment, enrolled, erasure, finishRequest, prepareRequest } from './support/draft.ts';
import { refusalOf } from './support/refusals.ts';
import { World } from './support/world.ts';

// etcd is in hostile hands: its values are written here with a replica's etcd certificate, at any moment.

let world: World;

beforeAll(async () => {
  world = await World.open();
});

afterAll(() => world?.close());

const writeRegister = (rid: Uint8Array, attempts: Attempts) => put(`a/${toHex(rid)}`, toBinary(AttemptsSchema, attempts));
const writeRecord = (rid: Uint8Array, record: StoredRecord) => put(`r/${toHex(rid)}`, toBinary(RecordSchema, record));
const put = (key: string, value: Uint8Array) => world.etcd.commit({ conditions: [], writes: [{ put: key, value }], otherwise: [] });

function erase(rid: Uint8Array) {
  const keys = [`a/${toHex(rid)}`, `r/${toHex(rid)}`];
  return world.etcd.commit({ conditions: [], writes: keys.map((key) => ({ delete: key })), otherwise: [] });
}

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
  const record = await world.store.record(draft.rid);
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
  for (const subRecord of record?.subRecords ?? [])
    expect(tokens[subRecord.index - 1]?.evaluatedUnder(draft.body, subRecord).size).toBeLessThanOrEqual(limit);
});

test('no lie about an erasure lets an enrolment that is sent again give its attempts back', async () => {
  const limit = 2;
  const draft = await enrolled(world, 'erased-and-again', { limit });
  const finish = await finishRequest(world, draft); // whoever relayed it has it still, and its tickets are good for minutes
  const record = await world.store.record(draft.rid);
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
  for (const subRecord of record?.subRecords ?? [])
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
  const before = { attempts: await registerOf(first), record: await world.store.record(first.rid) };
  const second = await enrolled(world, 'put-back', { replaces: first });
  const tokens = world.watchTokens();
  await writeRegister(first.rid, before.attempts);
  await writeRecord(first.rid, before.record as StoredRecord);

  expect(await recover(first, 'a code')).toBe('GENERATION_UNKNOWN');
  expect(await recover(second, 'a code')).toBe('GENERATION_UNKNOWN'); // says etcd; the guards would serve it
  for (const subRecord of before.record?.subRecords ?? [])
    expect(tokens[subRecord.index - 1]?.evaluatedUnder(first.body, subRecord)).toEqual(new Set());
});

test('a replica promotes only what bears its own sub-record', async () => {
  const draft = await draftEnrolment(world, 'edited');
  const peers = [1, 2, 3].map((index) => world.peer(index));
  const subRecords = await Promise.all(
    peers.map(async ({ index, calls }) => (await calls.prepare(await prepareRequest(world, draft, index))).subRecord),
  );
  const record = create(RecordSchema, { body: draft.body, subRecords: subRecords.filter((s) => s !== undefined) });
  const edited = structuredClone(record);
  for (const subRecord of edited.subRecords) subRecord.value = subRecord.value.map((byte, i) => (i === 0 ? byte ^ 1 : byte));
  const { limit } = draft.body.policy;
  await writeRegister(draft.rid, create(AttemptsSchema, { incarnation: 1n, g: draft.g, bodyHash: draft.bodyHash, limit, state: 1 }));

  const promote = create(PromoteRequestSchema, { account: { tenant: world.client.tenant, recordId: 'edited' }, g: draft.g });
  await writeRecord(draft.rid, edited);
  for (const { calls } of peers) expect(await refusalOf(calls.promote(promote))).toBe('GENERATION_UNKNOWN');
  await writeRecord(draft.rid, record);
  for (const { calls } of peers) expect(await refusalOf(calls.promote(promote))).toBe('ACCEPTED');
});

test('an edited record changes nothing for those who keep their own', async () => {
  const draft = await enrolled(world, 'kept-apart');
  const record = (await world.store.record(draft.rid)) as StoredRecord;
  for (const subRecord of record.subRecords) subRecord.value = subRecord.value.map((byte) => byte ^ 1);
  await writeRecord(draft.rid, record);
  expect(await recover(draft, 'a code')).toBe('ACCEPTED');
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
