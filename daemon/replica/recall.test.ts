import { create } from '@bufbuild/protobuf';
import { beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../primitives/clock.ts';
import { type Generation, GenerationSchema, SubRecordSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { RecallResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { preparedTranscript } from '../../protocol/transcripts.ts';
import { clientOf, enrolInput, RECORD } from '../../test/harness/soft-client.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { GrantVerifier } from '../vault/grants.ts';
import { receiptKeys } from '../vault/p256.ts';
import type { Participant } from './participant.ts';
import { recallFrom } from './reconcile.ts';

// Four replicas, of which three must answer, enrolled a record. Replica 3 left; those that are there tell what they remember.

let fleet: SoftFleet;
let answers: Map<number, Generation | undefined>;

/** What replica `index` serves, with the `prepared` of these that it kept. */
function served(index: number, kept: readonly number[]): Generation {
  const { body, bodyHash } = fleet.bodyOf(RECORD);
  const { fleet: name, rid, g, previous, epoch } = body;
  const signature = (of: number) =>
    fleet.replica(of).sign(preparedTranscript({ fleet: name, epoch: Number(epoch), index: of, rid, g }, previous, bodyHash));
  return create(GenerationSchema, {
    ...{ body, ticketSecret: new Uint8Array(8) },
    subRecord: create(SubRecordSchema, { index, value: new Uint8Array(72), signature: signature(index) }),
    prepared: kept.map((of) => ({ index: of, signature: signature(of) })),
  });
}

function recall() {
  const { statement } = fleet;
  const participants = statement.replicas.map(({ index }) => {
    const live = answers.get(index);
    const calls = {
      recall: async () => {
        if (!answers.has(index)) throw new Error('it does not answer');
        return create(RecallResponseSchema, live ? { live } : {});
      },
    };
    return { index, calls } as unknown as Participant;
  });
  const grants = new GrantVerifier(new Map(), systemClock);
  const { rid } = fleet.bodyOf(RECORD).body;
  return recallFrom(participants, rid, { statement, receiptKeys: receiptKeys(statement), grants, clock: systemClock, least: 2 });
}

beforeEach(async () => {
  fleet = new SoftFleet({ replicas: 4 });
  await clientOf(fleet).enroll(enrolInput());
  const signatures = { one: served(1, [1, 3, 4]), two: served(2, [1, 3, 4]), four: served(4, [1, 3, 4]) };
  fleet.restate([1, 2, 4]);
  answers = new Map([
    [1, signatures.one],
    [2, signatures.two],
    [4, signatures.four],
  ]);
});

it('serves what t of those that are there prepared', async () => {
  expect((await recall()).map(({ live }) => live?.body.number)).toEqual([1n, 1n, 1n]);
});

it('waits, where replicas that left prepared it and one that can show it does not answer', async () => {
  answers.delete(2);
  await expect(recall()).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
});

it('waits for nobody because of what t never prepared', async () => {
  answers.delete(2);
  for (const index of [1, 4]) (answers.get(index) as Generation).prepared = [];
  expect((await recall()).map(({ live }) => live)).toEqual([undefined, undefined]);
});

it('and not where all have answered', async () => {
  answers.set(2, undefined);
  expect((await recall()).map(({ live }) => live)).toEqual([undefined, undefined, undefined]);
});
