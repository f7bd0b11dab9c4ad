import { describe, expect, test } from 'vitest';
import { toHex } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { CODE, clientOf, enrolInput, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';

test('a recovery is followed by an enrolment that gives every attempt back', async () => {
  const fleet = new SoftFleet();
  const input = enrolInput({ policy: { limit: 3, coolDownMs: 1000 } });
  const first = await clientOf(fleet).enroll(input);
  await expect(clientOf(fleet).recover({ recordId: RECORD, code: WRONG })).rejects.toMatchObject({ code: 'WRONG_CODE' });
  const { renewal } = await clientOf(fleet).recover({ recordId: RECORD, code: CODE });
  const { body } = fleet.bodyOf(RECORD);
  expect(renewal).toMatchObject({ state: 'renewed', result: { g: body.g } });
  expect(toHex(body.previous)).toBe(toHex(first.g));
  expect(body.policy).toMatchObject({ limit: 3, coolDownMs: 1000n });
  expect(await clientOf(fleet).describe(RECORD)).toMatchObject({ attemptsUsed: 0 });
  expect((await clientOf(fleet).recover({ recordId: RECORD, code: CODE })).backupKey.expose()).toEqual(input.backupKey.expose());
});

test('a recovery succeeds although the enrolment after it fails', async () => {
  const fleet = new SoftFleet();
  await clientOf(fleet).enroll(enrolInput());
  fleet.fail('beginEnrollment', 'GRANT_REFUSED');
  const { renewal } = await clientOf(fleet).recover({ recordId: RECORD, code: CODE });
  expect(renewal).toMatchObject({ state: 'failed', error: { code: 'GRANT_REFUSED' } });
});

test('an enrolment after recovery whose outcome is unknown can be finished later', async () => {
  const fleet = new SoftFleet();
  await clientOf(fleet).enroll(enrolInput());
  fleet.lose('finishEnrollment', 4);
  const { renewal } = await clientOf(fleet).recover({ recordId: RECORD, code: CODE });
  if (renewal.state !== 'unknown') throw new Error(renewal.state);
  expect(await renewal.enrolment.finish()).toMatchObject({ holders: [1, 2, 3] });
});

test('one entry of a code makes two generations at the most', async () => {
  const fleet = new SoftFleet();
  await clientOf(fleet).enroll(enrolInput());
  fleet.fail('finishEnrollment', ...Array.from({ length: 9 }, () => 'TICKET_EXPIRED' as const));
  const begun = fleet.received('beginEnrollment').length;
  expect((await clientOf(fleet).recover({ recordId: RECORD, code: CODE })).renewal).toMatchObject({ state: 'failed' });
  expect(fleet.received('beginEnrollment').length - begun).toBe(2);
});

test('the code is changed by enrolling the same backup key again', async () => {
  const fleet = new SoftFleet();
  const input = enrolInput();
  await clientOf(fleet).enroll(input);
  await clientOf(fleet).enroll({ ...input, code: '271828' });
  await expect(clientOf(fleet).recover({ recordId: RECORD, code: CODE })).rejects.toMatchObject({ code: 'WRONG_CODE' });
  expect((await clientOf(fleet).recover({ recordId: RECORD, code: '271828' })).backupKey.expose()).toEqual(input.backupKey.expose());
});

test('another backup key does not replace a record', async () => {
  const fleet = new SoftFleet();
  await clientOf(fleet).enroll(enrolInput());
  const other = enrolInput({ backupKey: new SecretBytes(new Uint8Array(32)) });
  await expect(clientOf(fleet).enroll(other)).rejects.toMatchObject({ code: 'OWNER_REFUSED' });
});

test('a record is not left with fewer holders unless that is asked for', async () => {
  const fleet = new SoftFleet();
  const input = enrolInput();
  await clientOf(fleet).enroll(input);
  fleet.silent.add(2);
  await expect(clientOf(fleet).enroll(input)).rejects.toMatchObject({
    code: 'NOT_ENOUGH_REPLICAS',
    details: { replicasAnswered: 2, replicasNeeded: 3 },
  });
  expect((await clientOf(fleet).recover({ recordId: RECORD, code: CODE })).renewal).toMatchObject({ state: 'failed' });
  expect(await clientOf(fleet).enroll({ ...input, allowFewerHolders: true })).toMatchObject({ holders: [1, 3] });
  fleet.silent.clear();
  expect((await clientOf(fleet).recover({ recordId: RECORD, code: CODE })).renewal).toMatchObject({ result: { holders: [1, 2, 3] } });
});

describe('a new backup key', () => {
  test('takes the place of the one before with that one’s consent, and there is a record all the time', async () => {
    const fleet = new SoftFleet();
    const [first, second] = [enrolInput(), enrolInput()];
    await clientOf(fleet).enroll(first);
    await clientOf(fleet).enroll({ ...second, replaces: first.backupKey });
    expect(fleet.received('eraseRecord')).toEqual([]);
    const { backupKey } = await clientOf(fleet).recover({ recordId: RECORD, code: CODE });
    expect(backupKey.expose()).toEqual(second.backupKey.expose());
    // From now on the second one consents.
    await expect(clientOf(fleet).enroll({ ...enrolInput(), replaces: first.backupKey })).rejects.toMatchObject({ code: 'OWNER_REFUSED' });
    await clientOf(fleet).enroll(enrolInput({ replaces: second.backupKey }));
  });

  test.each([0, 16, 31, 33, 64])('of %d bytes is MALFORMED, and nothing is sent', async (length) => {
    const fleet = new SoftFleet();
    const short = new SecretBytes(new Uint8Array(length));
    await expect(clientOf(fleet).enroll(enrolInput({ backupKey: short }))).rejects.toMatchObject({ code: 'MALFORMED' });
    await expect(clientOf(fleet).enroll(enrolInput({ replaces: short }))).rejects.toMatchObject({ code: 'MALFORMED' });
    expect(fleet.received('beginEnrollment')).toEqual([]);
  });
});
