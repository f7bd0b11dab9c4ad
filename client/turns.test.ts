import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { VaultError } from '../primitives/errors.ts';
import {
  BeginRecoveryResponseSchema,
  EraseRecordResponseSchema,
  FinishEnrollmentResponseSchema,
} from '../proto/gen/backupvault/v1/vault_pb.ts';
import { CODE, clientOf, enrolInput, RECORD } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';

// One coordinator answers and shows nothing for it. A frontend asks it first, until the device says that its replies are of no use.

type Method = 'beginRecovery' | 'finishEnrollment' | 'eraseRecord';

/** At turn 0 this is said, and nothing done. Returns the turns that were asked for. */
function lyingFirst(fleet: SoftFleet, method: Method, lie: object): number[] {
  const turns: number[] = [];
  const truly = fleet[method].bind(fleet) as (request: never) => Promise<never>;
  fleet[method] = (async (request: { turn: number }) => {
    turns.push(request.turn);
    if (request.turn > 0) return truly(request as never);
    if (lie instanceof VaultError) throw lie;
    return lie;
  }) as never;
  return turns;
}

async function enrolled(): Promise<SoftFleet> {
  const fleet = new SoftFleet();
  await clientOf(fleet).enroll(enrolInput());
  return fleet;
}

test('a recovery goes on with the next, and costs what it would have', async () => {
  const fleet = await enrolled();
  const { body } = fleet.bodyOf(RECORD);
  const turns = lyingFirst(fleet, 'beginRecovery', create(BeginRecoveryResponseSchema, { body, attempt: 1 }));
  expect(await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false })).toMatchObject({ attempt: 1 });
  expect(turns).toEqual([0, 1]);
});

test('a recovery goes on with the next after one that says that the number is another point’s', async () => {
  const fleet = await enrolled();
  const turns = lyingFirst(fleet, 'beginRecovery', new VaultError('ATTEMPT_CONFLICT', 'So the coordinator says.'));
  expect(await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false })).toMatchObject({ attempt: 1 });
  expect(turns).toEqual([0, 1]);
});

test('so does the end of an enrolment', async () => {
  const fleet = new SoftFleet();
  const turns = lyingFirst(fleet, 'finishEnrollment', create(FinishEnrollmentResponseSchema));
  expect(await clientOf(fleet).enroll(enrolInput())).toMatchObject({ holders: [1, 2, 3] });
  expect(turns).toEqual([0, 1]);
});

test('an erasure that nobody signed is asked of t−1 others', async () => {
  const fleet = await enrolled();
  const turns = lyingFirst(fleet, 'eraseRecord', create(EraseRecordResponseSchema, { pending: [1, 2, 3] }));
  expect(await clientOf(fleet).erase(RECORD)).toMatchObject({ erased: [1, 2, 3], pending: [] });
  expect(turns).toEqual([0, 1]);
});

test('one that everybody signed is asked of nobody else', async () => {
  const fleet = await enrolled();
  expect((await clientOf(fleet).erase(RECORD)).erased).toEqual([1, 2, 3]);
  expect(fleet.received('eraseRecord')).toHaveLength(1);
});
