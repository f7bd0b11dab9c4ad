import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { ReleaseRequest } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { pointTranscript } from '../../protocol/transcripts.ts';
import { guess, releaseRequest, voteRequest, votes } from './support/attempt.ts';
import { CODE, type Draft, enrolled } from './support/draft.ts';
import { eventually } from './support/eventually.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';

// Somebody phished the code of a record that has a hold. They have a session at its backup service, and coordinate themselves: each replica is asked directly, as often as they like.

const HOUR = 3_600_000;
const ALL = [1, 2, 3];
let own: OwnFleet;

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1, settings: { sweep_interval_ms: 200, erase_grace_ms: 200 } });
});

afterAll(() => own?.stop());

/** The code is entered, and counted everywhere as attempt k. */
async function attempt(draft: Draft, k: number): Promise<ReleaseRequest> {
  const made = await guess(own.world, draft, CODE);
  await votes(own.world, voteRequest(draft, made, k), ALL);
  return releaseRequest(own.world, draft, made, k);
}

/** What each replica says to a proof. */
async function said(request: ReleaseRequest, to: readonly number[] = ALL): Promise<string[]> {
  const answers = to.map(async (index) => {
    let kind = 'RELEASED';
    const refusal = await refusalOf(
      own.world
        .peer(index)
        .calls.release(request)
        .then(({ held }) => {
          if (held) kind = 'HELD';
        }),
    );
    return refusal === 'ACCEPTED' ? kind : refusal;
  });
  return Promise.all(answers);
}

/** With another base, for the same point: of one who knows the code, too. */
const riding = ({ attempt: k, point }: ReleaseRequest, draft: Draft): ReleaseRequest =>
  releaseRequest(own.world, draft, { blinded: { point } } as never, k);

/** As another device of the owner is told of it. */
async function told({ recordId, backupKey }: Draft, k: number, base?: Uint8Array) {
  const { held } = await own.world.device().describe(recordId);
  const of = held.find((each) => each.attempt === k && (!base || toHex(each.blindedBase) === toHex(base)));
  if (!of) throw new Error('nobody tells of it');
  return { told: of, decision: { recordId, backupKey, held: of } };
}

async function restart(...indices: number[]): Promise<void> {
  const processes = indices.map((index) => own.fleet.replica(index).process);
  await Promise.all(processes.map((process) => process.kill()));
  await Promise.all(processes.map((process) => process.start()));
}

test('the right code releases nothing before its time, however often it is proved, and its owner is told', async () => {
  const draft = await enrolled(own.world, 'phished', { holdMs: HOUR });
  const proof = await attempt(draft, 1);
  for (const _ of ['first', 'again']) expect(await said(proof)).toEqual(['HELD', 'HELD', 'HELD']);
  await restart(...ALL);
  expect(await said(proof)).toEqual(['HELD', 'HELD', 'HELD']);
  expect(await eventually('1,2,3', async () => (await told(draft, 1)).told.held.join())).toBe('1,2,3'); // once they have connected
});

test('a veto burns it, after a restart and for a proof that is sent again, too; approved it is no more', async () => {
  const draft = await enrolled(own.world, 'vetoed', { holdMs: HOUR });
  const proof = await attempt(draft, 1);
  await said(proof);
  const { decision } = await told(draft, 1);
  expect(await own.world.device().veto(decision)).toMatchObject({ by: ALL, isFinal: 'final' });
  expect(await said(proof)).toEqual(['VETOED', 'VETOED', 'VETOED']);
  await restart(...ALL);
  expect(await said(proof)).toEqual(['VETOED', 'VETOED', 'VETOED']);
  const refused = () => refusalOf(own.world.device().approve(decision));
  expect(await eventually('VETOED', refused)).toBe('VETOED'); // once they have connected
  expect(await eventually('1,2,3', async () => (await told(draft, 1)).told.vetoed.join())).toBe('1,2,3');
});

test('nobody vetoes or approves without the backup key', async () => {
  const draft = await enrolled(own.world, 'foreign', { holdMs: HOUR });
  await said(await attempt(draft, 1));
  const { decision } = await told(draft, 1);
  const device = own.world.device();
  const backupKey = new SecretBytes(randomBytes(32));
  for (const decide of [device.veto, device.approve])
    expect(await refusalOf(decide.call(device, { ...decision, backupKey }))).toBe('OWNER_REFUSED');
});

test('a replica that was away takes a veto from the others before it releases', async () => {
  const draft = await enrolled(own.world, 'late', { holdMs: 1000 });
  const proof = await attempt(draft, 1);
  const third = own.fleet.replica(3).process;
  await third.stop();
  const { g, recordId, backupKey } = draft;
  const pointHash = pointTranscript(proof.point as CompressedPoint).digest;
  const held = { fleet: 'new', g, attempt: 1, pointHash, blindedBase: proof.blindedBase } as const;
  const vetoed = await own.world.device().veto({ recordId, backupKey, held });
  expect(vetoed).toMatchObject({ by: [1, 2], isFinal: 'final, if none of these lies' });
  await third.start();
  expect(await said(proof)).toEqual(['VETOED', 'VETOED', 'HELD']);
  let answer = 'HELD';
  await eventually(false, async () => {
    answer = (await said(proof, [3]))[0] as string;
    return answer === 'HELD' || answer === 'NOT_ENOUGH_REPLICAS'; // it may have to connect
  });
  expect(answer).toBe('VETOED');
});

test('another base gets nothing of the owner’s hold, nor of the owner’s approval, where it came first either', async () => {
  const draft = await enrolled(own.world, 'ridden', { holdMs: HOUR });
  const proof = await attempt(draft, 1);
  const rider = riding(proof, draft);
  expect(await said(rider, [3])).toEqual(['HELD']);
  expect(await said(proof)).toEqual(['HELD', 'HELD', 'PROOF_CONFLICT']);
  expect(await said(rider)).toEqual(['PROOF_CONFLICT', 'PROOF_CONFLICT', 'HELD']);
  const { decision } = await told(draft, 1, proof.blindedBase);
  expect(await own.world.device().approve(decision)).toMatchObject({ by: [1, 2], isFinal: 'final, if none of these lies' });
  expect(await said(proof)).toEqual(['RELEASED', 'RELEASED', 'PROOF_CONFLICT']);
  expect(await said(rider)).toEqual(['PROOF_CONFLICT', 'PROOF_CONFLICT', 'HELD']); // what was approved was not this
});

test('the owner’s own recovery waits beside the phisher’s, and goes at once when it is approved', async () => {
  const draft = await enrolled(own.world, 'both', { holdMs: HOUR });
  const phisher = await attempt(draft, 1);
  await said(phisher);
  const device = own.world.device();
  const recover = () => device.recover({ recordId: 'both', code: CODE, renew: false });
  await expect(recover()).rejects.toMatchObject({ code: 'HELD' });
  const { decision } = await told(draft, 2);
  await own.world.device().approve(decision);
  expect((await recover()).backupKey.expose()).toEqual(draft.backupKey.expose());
  expect(await said(phisher)).toEqual(['HELD', 'HELD', 'HELD']);
  expect(await eventually('1,2,3', async () => (await told(draft, 2)).told.released.join())).toBe('1,2,3');
  const tooLate = await own.world.device().veto(decision);
  expect(tooLate).toMatchObject({ by: [], released: ALL, isFinal: 'too few' });
});

test('the owner’s own recovery goes when its hold is over, at one attempt', async () => {
  const draft = await enrolled(own.world, 'patient', { holdMs: 2000 });
  const device = own.world.device();
  const recover = () => device.recover({ recordId: 'patient', code: CODE, renew: false });
  await expect(recover()).rejects.toMatchObject({ code: 'HELD' });
  expect(await eventually('ACCEPTED', () => refusalOf(recover()))).toBe('ACCEPTED');
  expect((await device.describe('patient')).attemptsUsed).toBe(1);
  expect(draft.body.policy.holdMs).toBe(2000n);
});

test('a code that is held is not erased with its record, whose attempts are spent', async () => {
  const { world } = own;
  const spent = await enrolled(world, 'spent', { limit: 1 });
  const held = await enrolled(world, 'spent-held', { limit: 1, holdMs: HOUR });
  const wait = async (recordId: string, k: string) => refusalOf(world.device().recover({ recordId, code: k, renew: false }));
  expect(await wait('spent-held', CODE)).toBe('HELD');
  expect(await wait('spent', 'wrong')).toMatch(/WRONG_CODE|EXHAUSTED/);
  const isErased = async ({ rid }: Draft) => (await world.store.attempts(rid))?.state === RecordState.ERASED;
  expect(await eventually(true, () => isErased(spent))).toBe(true);
  const { decision } = await told(held, 1);
  expect(await isErased(held)).toBe(false);
  expect(await world.device().approve(decision)).toMatchObject({ by: ALL });
});
