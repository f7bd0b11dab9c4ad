import { describe, expect, test } from 'vitest';
import { CODE, clientOf, enrolInput, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { ENROLLED_AT } from '../test/harness/soft-replica.ts';

describe.each([{ replicas: 3 }, { replicas: 5 }, { replicas: 9 }])('a fleet of $replicas', (options) => {
  test('gives the backup key back to whoever knows the code', async () => {
    const fleet = new SoftFleet(options);
    const input = enrolInput();
    const enrolled = await clientOf(fleet).enroll(input);
    expect(enrolled).toMatchObject({ epoch: 1, replicas: options.replicas, holders: fleet.replicas.map(({ index }) => index) });

    const recovered = await clientOf(fleet).recover({ recordId: RECORD, code: CODE });
    expect(recovered.backupKey.expose()).toEqual(input.backupKey.expose());
    expect(recovered).toMatchObject({ attempt: 1, limit: 10, attemptsElsewhere: 0, renewal: { state: 'renewed' } });
    expect(Math.abs(recovered.enrolledAt - ENROLLED_AT)).toBeLessThan(10);
  });
});

test('says how many attempts are left after a wrong code', async () => {
  const fleet = new SoftFleet();
  const client = clientOf(fleet);
  await client.enroll(enrolInput());
  await expect(client.recover({ recordId: RECORD, code: WRONG })).rejects.toMatchObject({
    code: 'WRONG_CODE',
    details: { attemptsUsed: 1, attemptsLimit: 10 },
  });
  await expect(client.recover({ recordId: RECORD, code: '493819' })).rejects.toMatchObject({ details: { attemptsUsed: 2 } });
  expect(await client.describe(RECORD)).toMatchObject({ state: 'live', attemptsUsed: 2, attemptsLimit: 10 });
});

test('tells of attempts that were made elsewhere', async () => {
  const fleet = new SoftFleet();
  const [mine, theirs] = [clientOf(fleet), clientOf(fleet)];
  await mine.enroll(enrolInput());
  await expect(mine.recover({ recordId: RECORD, code: WRONG })).rejects.toMatchObject({ code: 'WRONG_CODE' });
  for (const code of [WRONG, '271828'])
    await expect(theirs.recover({ recordId: RECORD, code })).rejects.toMatchObject({ code: 'WRONG_CODE' });
  expect(await mine.recover({ recordId: RECORD, code: CODE })).toMatchObject({ attempt: 4, attemptsElsewhere: 2 });
});

test('spends nothing and sends nothing for a typing error', async () => {
  const fleet = new SoftFleet();
  const client = clientOf(fleet);
  await client.enroll(enrolInput());
  await expect(client.recover({ recordId: RECORD, code: '123 456 789 012 345 678' })).rejects.toMatchObject({ code: 'CODE_REJECTED' });
  expect(fleet.received('beginRecovery')).toEqual([]);
});

test('refuses a weak code for a new record, but uses one that a record has', async () => {
  const fleet = new SoftFleet();
  await expect(clientOf(fleet).enroll(enrolInput({ code: '123456' }))).rejects.toMatchObject({ code: 'CODE_REJECTED' });
  expect(fleet.received('beginEnrollment')).toEqual([]);
  await clientOf(fleet).enroll(enrolInput());
  await expect(clientOf(fleet).recover({ recordId: RECORD, code: '123456' })).rejects.toMatchObject({ code: 'WRONG_CODE' });
});

test.each([
  { state: 'exhausted', spend: 2, code: 'EXHAUSTED' },
  { state: 'erased', spend: 0, code: 'ERASED' },
])('sends no code for a record that is $state', async ({ state, spend, code }) => {
  const fleet = new SoftFleet();
  const client = clientOf(fleet);
  await client.enroll(enrolInput({ policy: { limit: 2, coolDownMs: 0 } }));
  for (let i = 0; i < spend; i++)
    await clientOf(fleet)
      .recover({ recordId: RECORD, code: WRONG })
      .catch(() => {});
  if (state === 'erased') expect((await client.erase(RECORD)).erased).toEqual([1, 2, 3]);
  const sent = fleet.received('beginRecovery').length;
  await expect(client.recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code });
  expect(fleet.received('beginRecovery').length).toBe(sent);
});

test('an erased record is enrolled anew, with another backup key', async () => {
  const fleet = new SoftFleet();
  const client = clientOf(fleet);
  await client.enroll(enrolInput());
  await client.erase(RECORD);
  const input = enrolInput();
  await client.enroll(input);
  expect((await client.recover({ recordId: RECORD, code: CODE })).backupKey.expose()).toEqual(input.backupKey.expose());
});

test('an unknown record is RECORD_UNKNOWN', async () => {
  await expect(clientOf(new SoftFleet()).recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'RECORD_UNKNOWN' });
});

test('shows its progress', async () => {
  const fleet = new SoftFleet();
  const steps: string[] = [];
  const progress = (step: string) => steps.push(step);
  await clientOf(fleet).enroll(enrolInput({ progress }));
  expect(steps).toEqual(['describing', 'asking', 'stretching', 'storing']);
  steps.length = 0;
  await clientOf(fleet).recover({ recordId: RECORD, code: CODE, progress });
  expect(steps).toEqual(['describing', 'asking', 'stretching', 'combining', 'releasing', 'renewing', 'asking', 'stretching', 'storing']);
});

/** A fleet with a statement of epoch 2 to come; the policy names both. It serves under the first. */
function twoEpochs() {
  const fleet = new SoftFleet();
  const first = fleet.statement;
  fleet.restate();
  const second = fleet.statement;
  fleet.statement = first;
  const client = clientOf(Object.assign(fleet, { policy: { kind: 'pinned', statementHashes: [first.hash, second.hash] } }));
  return { fleet, first, second, client };
}

test('a client that knew an older epoch enrols an account that nobody knows', async () => {
  const { fleet, second, client } = twoEpochs();
  await client.enroll(enrolInput());
  fleet.statement = second;
  expect(await client.enroll(enrolInput({ recordId: 'another' }))).toMatchObject({ epoch: 2 });
});

test.each(['describeRecord', 'beginRecovery'] as const)(
  'a fleet that goes on to its next statement after %s costs no attempt',
  async (method) => {
    const { fleet, second, client } = twoEpochs();
    const input = enrolInput();
    await client.enroll(input);
    fleet.tamper[method] = () => {
      fleet.statement = second;
    };
    const { backupKey } = await client.recover({ recordId: RECORD, code: CODE, renew: false });
    expect(backupKey.expose()).toEqual(input.backupKey.expose());
    expect(fleet.attemptsOf(RECORD)).toBe(1);
  },
);

test('a fleet that is behind the statement that a client goes by is asked for nothing', async () => {
  const { fleet, first, second, client } = twoEpochs();
  fleet.statement = second;
  await client.enroll(enrolInput());
  fleet.statement = first;
  await expect(client.recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'STATEMENT_MISMATCH' });
  expect(fleet.attemptsOf(RECORD)).toBe(0);
});

describe('trust', () => {
  test('nothing is sent to a fleet that the policy does not name', async () => {
    const fleet = new SoftFleet();
    const stranger = new SoftFleet();
    Object.assign(fleet, { policy: stranger.policy });
    await expect(clientOf(fleet).enroll(enrolInput())).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED' });
    expect(fleet.received('beginEnrollment')).toEqual([]);
  });
});
