import { create, toBinary } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import { type ErrorCode, VaultError } from '../../primitives/errors.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type Attempts, AttemptsSchema, ErasureSchema, RecordState, type Signed } from '../../proto/gen/backupvault/v1/record_pb.ts';
import {
  ForgetRequestSchema,
  PromoteRequestSchema,
  SpentRequestSchema,
  VoteRequestSchema,
} from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { BeginRecoveryResponseSchema, EraseRecordResponseSchema } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import { erasedTranscript, spentTranscript } from '../../protocol/transcripts.ts';
import { guess, voteRequest } from '../integration/support/attempt.ts';
import { CODE, type Draft, draftEnrolment, enrolled, erasure, prepareRequest } from '../integration/support/draft.ts';
import { eventually } from '../integration/support/eventually.ts';
import { type OwnFleet, startOwnFleet } from '../integration/support/own-fleet.ts';
import { refusalOf } from '../integration/support/refusals.ts';
import { openStolenToken } from '../integration/support/stolen-token.ts';
import { coordinateAs, type Lies, type LyingCoordinator } from './lying-coordinator.ts';

// What one hostile party alone destroys, hides, delays and charges, of a fleet that is otherwise honest: the table of docs/THREAT-MODEL.md.

const GRACE = 3_600_000;
const NONE = new Uint8Array(0);
const policy = { limit: 5, coolDownMs: 0 };
let own: OwnFleet;
let liar: LyingCoordinator;

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1, settings: { erase_grace_ms: GRACE, sweep_interval_ms: 200 } });
  liar = await coordinateAs(own, 1);
});

afterAll(async () => {
  liar?.end();
  await own?.stop();
});

beforeEach(() => {
  liar.lies = {};
});

/** A device whose frontend asks the liar first, and then these replicas. */
function device(...others: number[]) {
  const { world } = own;
  const addresses = [liar.address, ...others.map((index) => world.client.addresses[index - 1] as string)];
  return world.device(world.transport({ ...world.client, addresses }));
}

async function enroll(recordId: string): Promise<Uint8Array> {
  const backupKey = randomBytes(32);
  const holders = async () => {
    const record = { recordId, code: CODE, backupKey: new SecretBytes(backupKey), policy };
    return (await own.world.device().enroll(record)).holders.join();
  };
  expect(await eventually('1,2,3', holders)).toBe('1,2,3');
  return backupKey;
}

describe('a coordinator that lies', () => {
  /** The right code costs what it should have cost all along, and opens the record. */
  async function expectOneAttempt(vault: ReturnType<typeof device>, recordId: string, backupKey: Uint8Array): Promise<void> {
    const recovered = await vault.recover({ recordId, code: CODE, renew: false });
    expect(recovered.backupKey.expose()).toEqual(new Uint8Array(backupKey));
    expect(recovered.attempt).toBe(1);
    expect((await own.world.store.attempts(own.world.rid(recordId)))?.points).toHaveLength(1);
  }

  test.each<ErrorCode>(['GENERATION_UNKNOWN', 'RECORD_UNKNOWN', 'EXHAUSTED', 'ERASED'])(
    'charges one code once, however often it counts it and then says %s',
    async (code) => {
      const recordId = `charged-${code}`;
      const backupKey = await enroll(recordId);
      const vault = device();
      liar.lies.beginRecovery = async (truly) => {
        await truly();
        throw new VaultError(code, 'So the coordinator says.');
      };
      for (let i = 0; i < 3; i++) expect(await refusalOf(vault.recover({ recordId, code: CODE, renew: false }))).toBe(code);
      liar.lies = {};
      await expectOneAttempt(vault, recordId, backupKey);
    },
  );

  test('charges one code once, whatever numbers it asks for it under', async () => {
    const backupKey = await enroll('renumbered');
    expect(await refusalOf(own.world.device().recover({ recordId: 'renumbered', code: 'another code' }))).toBe('WRONG_CODE');
    const vault = device();
    const answers: string[] = [];
    liar.lies.beginRecovery = async (truly, { recordId = '', g = NONE, point = NONE, grant = '' }) => {
      const { body } = await truly();
      const account = { tenant: own.world.client.tenant, recordId };
      const { bodyHash } = parseBody(body);
      const asked = create(VoteRequestSchema, { account, g, bodyHash, attempt: 1, point, grant, epoch: BigInt(own.world.statement.epoch) });
      answers.push(...(await Promise.all([2, 3].map((index) => refusalOf(own.world.peer(index).calls.vote(asked))))));
      return create(BeginRecoveryResponseSchema, { attempt: 1, ...(body && { body }) });
    };
    for (let i = 0; i < 2; i++)
      expect(await refusalOf(vault.recover({ recordId: 'renumbered', code: CODE, renew: false }))).not.toBe('ACCEPTED');
    expect(new Set(answers)).toEqual(new Set(['ATTEMPT_CONFLICT']));
    liar.lies = {};
    const recovered = await vault.recover({ recordId: 'renumbered', code: CODE, renew: false });
    expect(recovered.backupKey.expose()).toEqual(new Uint8Array(backupKey));
    expect(recovered.attempt).toBe(2); // the other code was the first
    expect((await own.world.store.attempts(own.world.rid('renumbered')))?.points).toHaveLength(2);
  });

  test('hides no attempt that is paid for by describing them all as spent', async () => {
    const backupKey = await enroll('described');
    const vault = device();
    liar.lies.beginRecovery = async (truly) => {
      await truly();
      throw new VaultError('EXHAUSTED', 'So the coordinator says.');
    };
    expect(await refusalOf(vault.recover({ recordId: 'described', code: CODE, renew: false }))).toBe('EXHAUSTED');
    liar.lies = {
      describeRecord: async (truly) => ({ ...(await truly()), state: RecordState.EXHAUSTED, attemptsUsed: policy.limit }),
    };
    await expectOneAttempt(vault, 'described', backupKey);
  });

  const withoutTheThird: Lies['beginEnrollment'] = async (truly) => {
    const reply = await truly();
    return { ...reply, offers: reply.offers.filter(({ ticket }) => ticket?.index !== 3) };
  };

  test('takes no holder away by leaving its offer out, where another coordinator can be asked', async () => {
    liar.lies.beginEnrollment = withoutTheThird;
    const record = { recordId: 'dropped', code: CODE, backupKey: new SecretBytes(randomBytes(32)), policy };
    expect(await eventually('1,2,3', async () => (await device(2).enroll(record)).holders.join())).toBe('1,2,3');
  });

  test('stores nothing with fewer holders than the app asks for', async () => {
    liar.lies.beginEnrollment = withoutTheThird;
    const record = { recordId: 'fewer', code: CODE, backupKey: new SecretBytes(randomBytes(32)), policy, holdersLeast: 3 };
    expect(await refusalOf(device().enroll(record))).toBe('NOT_ENOUGH_REPLICAS');
    expect(await own.world.store.attempts(own.world.rid('fewer'))).toBeUndefined();
  });

  test('shows no record erased that it left alone', async () => {
    const backupKey = await enroll('left-alone');
    liar.lies.eraseRecord = async () =>
      create(EraseRecordResponseSchema, { erased: [1, 2, 3].map((index) => ({ index, signature: randomBytes(64) })) });
    expect((await device().erase('left-alone')).erased).toEqual([]);
    await expectOneAttempt(device(), 'left-alone', backupKey);
  });
});

describe('who writes etcd', () => {
  const put = (key: string, value: Uint8Array) => own.world.etcd.commit({ conditions: [], writes: [{ put: key, value }], otherwise: [] });
  const stored = async ({ rid }: Draft): Promise<Attempts> => {
    const attempts = await own.world.store.attempts(rid);
    if (!attempts) throw new Error('no record');
    return attempts;
  };
  const write = ({ rid }: Draft, attempts: Attempts) => put(`a/${toHex(rid)}`, toBinary(AttemptsSchema, attempts));
  const promote = ({ file, recordId, g }: Draft, index: number, prepared: Signed[]) =>
    refusalOf(
      own.world.peer(index).calls.promote(create(PromoteRequestSchema, { account: { tenant: file.tenant, recordId }, g, prepared })),
    );

  /** Each guard counts a point of its generation, whatever etcd says: so it holds it. */
  async function expectHeld(draft: Draft): Promise<void> {
    const request = voteRequest(draft, await guess(own.world, draft, CODE), 1);
    for (const index of [1, 2, 3]) expect(await refusalOf(own.world.peer(index).calls.vote(request)), `replica ${index}`).toBe('ACCEPTED');
  }

  /** A sweep of every replica's that began after this was called has ended. */
  async function sweeps(): Promise<void> {
    for (const _ of ['one that was under way', 'one that began afterwards']) {
      const marker = await enrolled(own.world, `sweep-${toHex(randomBytes(4))}`);
      const by = { erasure: await erasure(own.world, marker) };
      await write(marker, create(AttemptsSchema, { ...(await stored(marker)), state: RecordState.ERASED, points: [], ...by }));
      const any = voteRequest(marker, await guess(own.world, marker, CODE), 1);
      for (const index of [1, 2, 3]) {
        const forgotten = () => refusalOf(own.world.peer(index).calls.vote(any));
        expect(await eventually('GENERATION_UNKNOWN', forgotten)).toBe('GENERATION_UNKNOWN');
      }
    }
  }

  test('and asks guards to go by it puts nothing that fewer than t prepared in the place of a record, whatever it shows them', async () => {
    const live = await enrolled(own.world, 'half-prepared');
    const before = await stored(live);
    for (const index of [2, 3]) {
      const rival = await draftEnrolment(own.world, 'half-prepared', { replaces: live });
      const response = await own.world.peer(index).calls.prepare(await prepareRequest(own.world, rival, index));
      const prepared = response.prepared as Signed;
      const inOthersNames = [1, 2, 3].map((other) => (other === index ? prepared : { ...prepared, index: other }));
      const forged = [1, 2, 3].map((other) => (other === index ? prepared : { ...prepared, index: other, signature: randomBytes(64) }));
      const { g, bodyHash } = rival;
      await write(live, create(AttemptsSchema, { ...before, g, bodyHash, number: before.number + 1n, holders: [1, 2, 3] }));
      for (const shown of [[], [prepared], [prepared, prepared], inOthersNames, forged]) {
        expect(await promote(rival, index, shown)).toBe('GENERATION_UNKNOWN');
        const asked = { ...voteRequest(rival, await guess(own.world, rival, CODE), 1), prepared: shown };
        for (const dry of [true, false])
          expect(await refusalOf(own.world.peer(index).calls.vote({ ...asked, dry }))).toBe('GENERATION_UNKNOWN');
      }
    }
    await sweeps();
    await write(live, before);
    await expectHeld(live);
  });

  test('ends no spent record before its grace is over, by whatever time it writes', async () => {
    const draft = await enrolled(own.world, 'back-dated', { limit: 1 });
    const { blinded, grant } = await guess(own.world, draft, CODE);
    const last = { recordId: draft.recordId, g: draft.g, point: blinded.point, grant };
    await own.world.frontend().beginRecovery(last);
    await write(draft, create(AttemptsSchema, { ...(await stored(draft)), lastAttemptMs: 0n }));
    await put(`x/${toHex(draft.rid)}`, Buffer.from('0'));
    await sweeps();
    for (const index of [1, 2, 3]) {
      const { spent } = await own.world.peer(index).calls.spent(create(SpentRequestSchema, { rid: draft.rid, g: draft.g }));
      expect(spent).toBeUndefined();
    }
    expect((await own.world.device().describe(draft.recordId)).state).toBe('exhausted');
    expect(await refusalOf(own.world.frontend().beginRecovery(last))).toBe('ACCEPTED');
  });

  test('with one replica’s token destroys no record either: its word is one of t, however often it is shown', async () => {
    const draft = await enrolled(own.world, 'one-word');
    const before = await stored(draft);
    const { rid, g } = draft;
    const { fleet, epoch } = own.world.statement;
    const token = await openStolenToken(own.world, 3);
    const says = async (transcriptOf: typeof spentTranscript) => {
      const signature = await token.sign(transcriptOf({ fleet, epoch, index: 3, rid, g }).digest);
      return [3, 3, 1, 2].map((index) => ({ index, signature }));
    };
    const words = [{ spent: await says(spentTranscript) }, { erased: await says(erasedTranscript) }];
    await token.close();
    for (const word of words) {
      const shown = create(ErasureSchema, word);
      for (const index of [1, 2])
        expect(await refusalOf(own.world.peer(index).calls.forget(create(ForgetRequestSchema, { rid, g, erasure: shown })))).toBe(
          'ERASURE_REFUSED',
        );
      await write(draft, create(AttemptsSchema, { ...before, state: RecordState.ERASED, erasure: shown }));
      await sweeps();
    }
    await write(draft, before);
    await expectHeld(draft);
  });
});
