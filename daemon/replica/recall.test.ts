import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { beforeEach, expect, it } from 'vitest';
import { ownerKey } from '../../client/derive.ts';
import { systemClock } from '../../primitives/clock.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { type ShownGeneration, ShownGenerationSchema, type Signed } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { RecallResponseSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { listDigest } from '../../protocol/owner-list.ts';
import { preparedTranscript, vetoTranscript } from '../../protocol/transcripts.ts';
import { clientOf, enrolInput, RECORD } from '../../test/harness/soft-client.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { GrantVerifier } from '../vault/grants.ts';
import { receiptKeys } from '../vault/p256.ts';
import type { Participant } from './participant.ts';
import { recallFrom } from './reconcile.ts';

// Four replicas, of which three must answer, enrolled a record. Replica 3 left; those that are there tell what they remember.

const backupKey = new SecretBytes(new Uint8Array(32).fill(6));
let fleet: SoftFleet;
let answers: Map<number, ShownGeneration | undefined>;

/** The record as a replica shows it that serves it, with the `prepared` of these. */
function served(...kept: readonly number[]): ShownGeneration {
  const { body, bodyHash } = fleet.bodyOf(RECORD);
  const { fleet: name, rid, g, previous, epoch } = body;
  const signature = (of: number) =>
    fleet.replica(of).sign(preparedTranscript({ fleet: name, epoch: Number(epoch), index: of, rid, g }, previous, bodyHash));
  return create(ShownGenerationSchema, { body, prepared: kept.map((of) => ({ index: of, signature: signature(of) })) });
}

/** Replica `index` shows of its `prepared` what is made of them. */
function showing(index: number, change: (prepared: Signed[]) => Signed[]): void {
  const live = answers.get(index) as ShownGeneration;
  live.prepared = change(live.prepared);
}

/** `said`: in place of what they serve. */
function recall(said?: (index: number) => MessageInitShape<typeof RecallResponseSchema>) {
  const { statement } = fleet;
  const participants = statement.replicas.map(({ index }) => {
    const live = answers.get(index);
    const calls = {
      recall: async () => {
        if (!answers.has(index)) throw new Error('it does not answer');
        return create(RecallResponseSchema, said?.(index) ?? (live ? { live } : {}));
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
  await clientOf(fleet).enroll(enrolInput({ backupKey }));
  const signatures = { one: served(1, 3, 4), two: served(2, 1, 3, 4), four: served(4, 1, 3) };
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
  for (const index of [1, 4]) showing(index, (prepared) => prepared.filter((signed) => signed.index === index));
  expect((await recall()).map(({ live }) => live)).toEqual([undefined, undefined]);
});

it('and not where all have answered', async () => {
  answers.set(2, undefined);
  expect((await recall()).map(({ live }) => live)).toEqual([undefined, undefined, undefined]);
});

it.each<[string, (prepared: Signed[]) => Signed[]]>([
  ['without its own signature', (prepared) => prepared.filter(({ index }) => index !== 2)],
  ['with another one’s as its own', (prepared) => prepared.map((signed) => (signed.index === 2 ? { ...signed, index: 1 } : signed))],
  ['with its own cut off', (prepared) => prepared.map((signed) => ({ ...signed, signature: signed.signature.slice(0, -1) }))],
])('counts no copy that is shown %s, served or prepared, and believes the others all the same', async (_, change) => {
  answers.set(4, served(1, 2, 4)); // t prepared it, whatever replica 2 shows
  showing(2, change);
  const shown = answers.get(2) as ShownGeneration;
  expect((await recall()).map(({ live }) => live?.body.number)).toEqual([1n, undefined, 1n]);
  expect((await recall((index) => (index === 2 ? { prepared: [shown] } : {}))).map(({ prepared }) => prepared)).toEqual([[], [], []]);
});

it('counts a copy that is only prepared where its holder signed it', async () => {
  const shown = answers.get(2) as ShownGeneration;
  const [, second] = await recall((index) => (index === 2 ? { prepared: [shown] } : {}));
  expect(second?.prepared.map(({ body }) => body.number)).toEqual([1n]);
});

it('believes of decisions and lists what its owner signed, and nothing else', async () => {
  const { rid, g } = fleet.bodyOf(RECORD).body;
  const owner = ownerKey(backupKey, rid);
  const [pointHash, content] = [new Uint8Array(32).fill(4), new Uint8Array(3)];
  const signature = owner.sign(vetoTranscript({ fleet: fleet.name, rid, g, attempt: 1, pointHash }));
  const list = { counter: 1n, content, signature: owner.sign(listDigest(fleet.name, rid, { counter: 1n, content })) };
  const decided = { attempt: 1, pointHash, veto: true, signature };
  const live = (index: number) => answers.get(index) as ShownGeneration;
  const forged = new Uint8Array(64).fill(1);
  const said = await recall((index) =>
    index === 1
      ? { live: live(1), decided: [decided], list }
      : {
          live: live(index),
          decided: [
            { ...decided, signature: forged },
            { ...decided, attempt: 2 },
          ],
          list: { ...list, counter: 2n },
        },
  );
  expect(said.map((each) => [each.decided.length, each.list?.counter])).toEqual([
    [1, 1n],
    [0, undefined],
    [0, undefined],
  ]);
});
