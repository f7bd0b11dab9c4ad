import { describe, expect, test } from 'vitest';
import { CODE, clientOf, enrolInput, InstantClock, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';

const onlyOne = (messages: readonly Uint8Array[]) => new Set(messages.map((message) => Buffer.from(message).toString('hex'))).size === 1;

describe('the same bytes are sent again', () => {
  test.each(['getFleet', 'beginEnrollment', 'finishEnrollment'] as const)('when the reply of %s is lost at enrolment', async (method) => {
    const fleet = new SoftFleet();
    fleet.lose(method, 2);
    await clientOf(fleet).enroll(enrolInput());
    expect(fleet.received(method).length).toBe(3);
    expect(onlyOne(fleet.received(method))).toBe(true);
  });

  test.each(['beginRecovery', 'finishRecovery'] as const)('when the reply of %s is lost', async (method) => {
    const fleet = new SoftFleet();
    await clientOf(fleet).enroll(enrolInput());
    fleet.lose(method, 2);
    const { attempt } = await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false });
    expect(attempt).toBe(1);
    expect(fleet.received(method).length).toBe(3);
    expect(onlyOne(fleet.received(method))).toBe(true);
    expect(fleet.attemptsOf(RECORD)).toBe(1);
  });

  test.each(['OUTCOME_UNKNOWN', 'NOT_ENOUGH_REPLICAS', 'STORE_UNAVAILABLE', 'TOKEN_UNAVAILABLE', 'BUSY'] as const)(
    'when the vault says %s',
    async (code) => {
      const fleet = new SoftFleet();
      await clientOf(fleet).enroll(enrolInput());
      fleet.fail('beginRecovery', code, code, code);
      await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false });
      expect(fleet.received('beginRecovery').length).toBe(4);
      expect(onlyOne(fleet.received('beginRecovery'))).toBe(true);
    },
  );

  test('when the user enters the same code again, however long after', async () => {
    const fleet = new SoftFleet();
    const client = clientOf(fleet);
    await client.enroll(enrolInput());
    fleet.lose('beginRecovery', 4);
    await expect(client.recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    const { attempt } = await client.recover({ recordId: RECORD, code: CODE });
    expect(attempt).toBe(1);
    expect(onlyOne(fleet.received('beginRecovery'))).toBe(true);
  });

  test('and the last attempt can be finished though the record shows as exhausted', async () => {
    const fleet = new SoftFleet();
    const client = clientOf(fleet);
    await client.enroll(enrolInput({ policy: { limit: 1, coolDownMs: 0 } }));
    fleet.lose('finishRecovery', 4);
    await expect(client.recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
    expect(await client.describe(RECORD)).toMatchObject({ state: 'exhausted' });
    expect(await client.recover({ recordId: RECORD, code: CODE })).toMatchObject({ attempt: 1, renewal: { state: 'renewed' } });
    expect(onlyOne(fleet.received('finishRecovery'))).toBe(true);
  });
});

test('another code is another point', async () => {
  const fleet = new SoftFleet();
  const client = clientOf(fleet);
  await client.enroll(enrolInput());
  fleet.lose('beginRecovery', 4);
  await expect(client.recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  await expect(client.recover({ recordId: RECORD, code: WRONG })).rejects.toMatchObject({ code: 'WRONG_CODE' });
  expect(fleet.attemptsOf(RECORD)).toBe(2);
});

test('the same wrong code twice is one attempt', async () => {
  const fleet = new SoftFleet();
  const client = clientOf(fleet);
  await client.enroll(enrolInput());
  for (let i = 0; i < 2; i++)
    await expect(client.recover({ recordId: RECORD, code: WRONG })).rejects.toMatchObject({ details: { attemptsUsed: 1 } });
  expect(fleet.attemptsOf(RECORD)).toBe(1);
});

test('two calls with the same code at the same time are one recovery', async () => {
  const fleet = new SoftFleet();
  const client = clientOf(fleet);
  await client.enroll(enrolInput());
  const [a, b] = await Promise.all([client.recover({ recordId: RECORD, code: CODE }), client.recover({ recordId: RECORD, code: CODE })]);
  expect(a).toBe(b);
  expect(fleet.received('beginRecovery').length).toBe(1);
});

test('an enrolment whose outcome is unknown is finished with the same bytes', async () => {
  const fleet = new SoftFleet();
  const enrolment = await clientOf(fleet).beginEnrolment(enrolInput());
  fleet.lose('finishEnrollment', 4);
  await expect(enrolment.finish()).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN' });
  expect((await enrolment.finish()).g).toEqual(enrolment.g);
  expect(onlyOne(fleet.received('finishEnrollment'))).toBe(true);
});

test('an error that a repetition cannot mend is not repeated', async () => {
  const fleet = new SoftFleet();
  const clock = new InstantClock();
  await clientOf(fleet).enroll(enrolInput());
  fleet.fail('beginRecovery', 'COOLING_DOWN');
  await expect(clientOf(fleet, clock).recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'COOLING_DOWN' });
  expect(clock.slept).toBe(0);
});
