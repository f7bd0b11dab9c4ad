import { expect, test } from 'vitest';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { CODE, clientOf, enrolInput, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';

test('a rehearsal tells right from wrong, and asks nobody', async () => {
  const fleet = new SoftFleet();
  const client = clientOf(fleet);
  const { backupKey, ...input } = enrolInput();
  const { rehearsal } = await client.enroll({ ...input, backupKey });
  const asked = () => ['getFleet', 'describeRecord', 'beginRecovery'].map((method) => fleet.received(method as 'getFleet').length);
  const before = asked();
  const rehearse = (changes: object) => client.rehearse({ recordId: RECORD, code: CODE, backupKey, rehearsal, ...changes });
  expect(await rehearse({})).toBe(true);
  expect(await rehearse({ code: ' 493-817 ' })).toBe(true);
  expect(await rehearse({ code: WRONG })).toBe(false);
  expect(await rehearse({ recordId: 'account-2' })).toBe(false);
  expect(await rehearse({ backupKey: new SecretBytes(new Uint8Array(32)) })).toBe(false);
  expect(asked()).toEqual(before);
});

test('what a rehearsal checks against stays the same when the record is renewed', async () => {
  const fleet = new SoftFleet();
  const { rehearsal } = await clientOf(fleet).enroll(enrolInput());
  const { renewal } = await clientOf(fleet).recover({ recordId: RECORD, code: CODE });
  expect(renewal).toMatchObject({ state: 'renewed', result: { rehearsal } });
});
