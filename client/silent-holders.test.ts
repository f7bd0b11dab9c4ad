import { expect, test } from 'vitest';
import { CODE, clientOf, enrolInput, InstantClock, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';

test('any t holders are enough', async () => {
  const fleet = new SoftFleet({ replicas: 5 });
  const input = enrolInput();
  await clientOf(fleet).enroll(input);
  fleet.silent.add(2).add(4);
  expect((await clientOf(fleet).recover({ recordId: RECORD, code: CODE })).backupKey.expose()).toEqual(input.backupKey.expose());
});

test('fewer than t are NOT_ENOUGH_REPLICAS, and cost nothing later', async () => {
  const fleet = new SoftFleet();
  const client = clientOf(fleet);
  await client.enroll(enrolInput());
  fleet.silent.add(1).add(2);
  await expect(client.recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'NOT_ENOUGH_REPLICAS' });
  fleet.silent.clear();
  expect(await client.recover({ recordId: RECORD, code: CODE })).toMatchObject({ attempt: 1 });
});

test('a silent holder is asked again before a code is called wrong', async () => {
  const fleet = new SoftFleet();
  await clientOf(fleet).enroll(enrolInput());
  fleet.silent.add(3);
  await expect(clientOf(fleet).recover({ recordId: RECORD, code: WRONG })).rejects.toMatchObject({
    code: 'WRONG_CODE',
    details: { attemptsUsed: 1, replicasAnswered: 2, replicasNeeded: 3 },
  });
  expect(fleet.received('beginRecovery').length).toBe(3);
  expect(fleet.attemptsOf(RECORD)).toBe(1);
});

test('a holder that is known to be away is not waited for: t coordinators are asked at once', async () => {
  const fleet = new SoftFleet();
  const clock = new InstantClock();
  const client = clientOf(fleet, clock);
  await client.enroll(enrolInput());
  fleet.silent.add(3);
  fleet.tamper.beginRecovery = (reply) => {
    reply.silent = [];
  };
  for (let i = 0; i < 2; i++) await expect(client.recover({ recordId: RECORD, code: WRONG })).rejects.toMatchObject({ code: 'WRONG_CODE' });
  expect(fleet.received('beginRecovery').length).toBe(4);
  expect(clock.slept).toBe(0);
  expect(fleet.attemptsOf(RECORD)).toBe(1); // in doubt, so the same code is the same attempt
});

test('a right code that looks wrong, because one of t holders lies, is right once another answers', async () => {
  const fleet = new SoftFleet();
  await clientOf(fleet).enroll(enrolInput());
  fleet.replica(1).lies = true;
  fleet.silent.add(3);
  let replies = 0;
  fleet.tamper.beginRecovery = () => {
    if (++replies === 1) fleet.silent.clear();
  };
  expect(await clientOf(fleet).recover({ recordId: RECORD, code: CODE })).toMatchObject({ attempt: 1 });
  expect(fleet.attemptsOf(RECORD)).toBe(0); // of the renewed record
});

test('who answered once is not needed again', async () => {
  const fleet = new SoftFleet();
  await clientOf(fleet).enroll(enrolInput());
  fleet.replica(1).lies = true;
  fleet.silent.add(3);
  fleet.tamper.beginRecovery = () => {
    fleet.silent.clear();
    fleet.silent.add(2);
  };
  expect(await clientOf(fleet).recover({ recordId: RECORD, code: CODE, renew: false })).toMatchObject({ attempt: 1 });
});

test('where the code stays in doubt, the same code again is free', async () => {
  const fleet = new SoftFleet();
  const client = clientOf(fleet);
  await client.enroll(enrolInput());
  fleet.replica(1).lies = true;
  fleet.silent.add(3);
  await expect(client.recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'WRONG_CODE' });
  fleet.silent.clear();
  expect(await client.recover({ recordId: RECORD, code: CODE, renew: false })).toMatchObject({ attempt: 1 });
  expect(fleet.attemptsOf(RECORD)).toBe(1);
});

test('an enrolment needs t offers and t signatures', async () => {
  const fleet = new SoftFleet({ replicas: 5 });
  fleet.silent.add(1).add(2);
  expect(await clientOf(fleet).enroll(enrolInput())).toMatchObject({ holders: [3, 4, 5], replicas: 5, threshold: 3 });

  fleet.silent.add(3);
  await expect(clientOf(fleet).enroll(enrolInput({ recordId: 'account-2' }))).rejects.toMatchObject({
    code: 'NOT_ENOUGH_REPLICAS',
    details: { replicasAnswered: 2, replicasNeeded: 3 },
  });

  fleet.silent.clear();
  const enrolment = await clientOf(fleet).beginEnrolment(enrolInput({ recordId: 'account-3' }));
  fleet.silent.add(1).add(2).add(3);
  await expect(enrolment.finish()).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', details: { replicasAnswered: 2 } });
  fleet.silent.clear();
  expect(await enrolment.finish()).toMatchObject({ holders: [1, 2, 3, 4, 5] });
});
