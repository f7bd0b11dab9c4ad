import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { DevFleet } from './dev-fleet.ts';

let fleet: DevFleet;

beforeAll(async () => {
  fleet = await DevFleet.start();
});

afterAll(() => fleet?.stop());

test('a fleet enrols and recovers', async () => {
  const { vault } = fleet.open();
  const backupKey = new SecretBytes(randomBytes(32));
  const code = 'correct horse battery';
  const enrolled = await vault.enroll({ recordId: 'alice', code, backupKey, policy: { limit: 3, coolDownMs: 0 } });
  expect(enrolled.holders).toEqual([1, 2, 3]);
  const recovered = await vault.recover({ recordId: 'alice', code });
  expect(recovered.backupKey.expose()).toEqual(backupKey.expose());
  expect((await fleet.store.attempts(fleet.rid('alice')))?.limit).toBe(3);
});
