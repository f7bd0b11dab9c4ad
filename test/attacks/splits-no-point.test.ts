import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VaultError } from '../../primitives/errors.ts';
import {
  CountedSchema,
  RecallRequestSchema,
  type RecallResponse,
  RecallResponseSchema,
} from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { parsePoint } from '../../protocol/point.ts';
import { pointTranscript } from '../../protocol/transcripts.ts';
import { guess, voteRequest } from '../integration/support/attempt.ts';
import { placesOf } from '../integration/support/counted-fleet.ts';
import { CODE, type Draft, enrolled } from '../integration/support/draft.ts';
import { type OwnFleet, startOwnFleet } from '../integration/support/own-fleet.ts';
import { refusalOf } from '../integration/support/refusals.ts';
import { type Liar, lieAs, silence } from './lying-peer.ts';

// A guard counts a point under one number for good. Where guards had one point under two numbers, fewer than t under each, that entry of the code would be
// lost: neither an etcd that forgot what it said, nor a hostile replica, gets them to that.

const all = (own: OwnFleet) => own.fleet.replicas.map((_, i) => i + 1);

const TRIES = 20;

/** Of which each replica holds a share. */
async function enrolledEverywhere(own: OwnFleet, name: string): Promise<Draft> {
  for (let k = 1; k <= TRIES; k++) {
    const draft = await enrolled(own.world, `${name}-${k}`, { limit: 4, among: all(own) });
    const any = { ...voteRequest(draft, await guess(own.world, draft, CODE), 1), dry: true };
    const answers = await Promise.all(all(own).map((index) => refusalOf(own.world.peer(index).calls.vote(any))));
    if (answers.every((answer) => answer === 'ACCEPTED')) return draft; // else one was slow
  }
  throw new Error(`in ${TRIES} enrolments not all replicas took part`);
}

/** Counted by these alone: their coordinator and device were lost, and etcd forgot it. */
async function countedBy(own: OwnFleet, draft: Draft, indices: readonly number[]): Promise<void> {
  const lost = await guess(own.world, draft, 'another code');
  for (const index of indices) expect(await refusalOf(own.world.peer(index).calls.vote(voteRequest(draft, lost, 1)))).toBe('ACCEPTED');
}

const recovers = (own: OwnFleet, recordId: string) => own.world.device().recover({ recordId, code: CODE, renew: false });

describe('of four replicas, two counted what etcd forgot', () => {
  let own: OwnFleet;
  beforeAll(async () => {
    own = await startOwnFleet({ replicas: 4, etcdMembers: 1 });
  });
  afterAll(() => own?.stop());

  test.each([[[1, 2]], [[3, 4]], [[2, 4]]])('%j, and the next code costs one attempt', async (indices) => {
    const draft = await enrolledEverywhere(own, `forgotten-${indices.join('-')}`);
    await countedBy(own, draft, indices);
    expect((await recovers(own, draft.recordId)).attempt).toBe(2);
  });
});

describe('a hostile replica of three', () => {
  let own: OwnFleet;
  let liar: Liar | undefined;
  let truly: RecallResponse;

  beforeAll(async () => {
    own = await startOwnFleet({ etcdMembers: 1 });
  });
  afterAll(async () => {
    liar?.end();
    await own?.stop();
  });

  test('pins no point to a number by what it says that it counted', async () => {
    const draft = await enrolledEverywhere(own, 'pinned');
    const { rid } = draft;
    await countedBy(own, draft, [1, 3]);
    truly = await own.world.peer(3).calls.recall(create(RecallRequestSchema, { rid, epoch: BigInt(own.world.statement.epoch) }));
    await own.fleet.replica(3).process.stop();
    let claimed = truly.counted;
    const answers = {
      ...silence,
      vote: async ({ point, grant }: { point?: Uint8Array; grant?: string }) => {
        const { digest } = pointTranscript(parsePoint(point as Uint8Array, 'point'));
        claimed = [1, 2, 3].map((attempt) => create(CountedSchema, { attempt, point: { hash: digest, grant: grant as string }, atMs: 1n }));
        throw new VaultError('ATTEMPT_CONFLICT', 'It was counted as another attempt.');
      },
      recall: async () => create(RecallResponseSchema, { ...truly, counted: claimed }),
    };
    liar = await lieAs(placesOf(own.fleet), 3, { name: 'pins', answers: () => answers });
    expect((await recovers(own, draft.recordId)).attempt).toBe(2);
    expect(liar.asked()).toBeGreaterThan(0);
  });
});
