import { expect, test } from 'vitest';
import type { Bytes } from '../primitives/bytes.ts';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { CODE, clientOf, enrolInput, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';

test('a rehearsal tells right from wrong, and asks nobody', async () => {
  const fleet = new SoftFleet();
  const client = clientOf(fleet);
  const { backupKey, ...input } = enrolInput();
  const { rehearsal } = await client.enroll({ ...input, backupKey, rehearsal: true });
  const asked = () => ['getFleet', 'describeRecord', 'beginRecovery'].map((method) => fleet.received(method as 'getFleet').length);
  const before = asked();
  const rehearse = (changes: object) =>
    client.rehearse({ recordId: RECORD, code: CODE, backupKey, rehearsal: rehearsal as Bytes, ...changes });
  expect(await rehearse({})).toBe(true);
  expect(await rehearse({ code: ' 493-817 ' })).toBe(true);
  expect(await rehearse({ code: WRONG })).toBe(false);
  expect(await rehearse({ recordId: 'account-2' })).toBe(false);
  expect(await rehearse({ backupKey: new SecretBytes(new Uint8Array(32)) })).toBe(false);
  expect(asked()).toEqual(before);
});

test('what a rehearsal checks against stays the same when the record is renewed', async () => {
  const fleet = new SoftFleet();
  const { rehearsal } = await clientOf(fleet).enroll(enrolInput({ rehearsal: true }));
  const { renewal } = await clientOf(fleet).recover({ recordId: RECORD, code: CODE, rehearsal: true });
  expect(renewal).toMatchObject({ state: 'renewed', result: { rehearsal } });
});

test('without being asked for, the device gets nothing that tells of the code', async () => {
  const fleet = new SoftFleet();
  expect((await clientOf(fleet).enroll(enrolInput())).rehearsal).toBeUndefined();
  const { renewal } = await clientOf(fleet).recover({ recordId: RECORD, code: CODE });
  expect(renewal).toMatchObject({ state: 'renewed', result: { rehearsal: undefined } });
});

test('who has the device learns ten bits of the code at most: of many codes, about one in 1024 passes', async () => {
  const client = clientOf(new SoftFleet());
  const { backupKey } = enrolInput();
  const { rehearsal } = await client.enroll(enrolInput({ backupKey, rehearsal: true }));
  expect(rehearsal).toHaveLength(2);
  const passes = (i: number) => client.rehearse({ recordId: RECORD, code: `code ${i}`, backupKey, rehearsal: rehearsal as Bytes });
  const passing = Array.from({ length: 20_000 }, (_, i) => i).filter(passes).length;
  expect(passing).toBeGreaterThan(2); // 19.5 ± 4.4
  expect(passing).toBeLessThan(50);
  for (const length of [0, 1, 3, 32])
    expect(() => client.rehearse({ recordId: RECORD, code: CODE, backupKey, rehearsal: new Uint8Array(length) })).toThrow(/rehearsal/);
});
