import { toBinary } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openVault } from '../../cli/open-vault.ts';
import type { VaultClient } from '../../client/vault-client.ts';
import { toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { BodySchema, RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { renderSubRecord } from '../../protocol/sub-record.ts';
import { guess, voteRequest } from './support/attempt.ts';
import { enrolled } from './support/draft.ts';
import { refusalOf } from './support/refusals.ts';
import { stolenSubRecords } from './support/stolen-guard.ts';
import { World } from './support/world.ts';

const CODE = '493817 205514';
const NEW_CODE = 'another horse battery';

let world: World;
let vault: VaultClient;
let close: () => void;

beforeAll(async () => {
  world = await World.open();
  ({ vault, close } = openVault(world.client)); // with Argon2, as an app has it
});

afterAll(() => {
  close?.();
  world?.close();
});

test('a record lives from its enrolment over wrong codes and a new code to its erasure', async () => {
  const recordId = 'alice';
  const rid = world.rid(recordId);
  const backupKey = new SecretBytes(randomBytes(32));
  expect(await refusalOf(vault.describe(recordId))).toBe('RECORD_UNKNOWN');

  const { g, holders } = await vault.enroll({ recordId, code: CODE, backupKey, policy: { limit: 3, coolDownMs: 0 } });
  expect(holders).toEqual([1, 2, 3]);
  const described = await vault.describe(recordId);
  expect(described).toMatchObject({ state: 'live', attemptsUsed: 0, attemptsLimit: 3, holders: [1, 2, 3], threshold: 2 });
  expect(toHex(described.g)).toBe(toHex(g));

  const wrong = vault.recover({ recordId, code: 'wrong horse battery' });
  await expect(wrong).rejects.toMatchObject({ code: 'WRONG_CODE', details: { attemptsUsed: 1, attemptsLimit: 3 } });
  expect(await vault.describe(recordId)).toMatchObject({ attemptsUsed: 1 });

  const recovered = await vault.recover({ recordId, code: CODE });
  expect(recovered.backupKey.expose()).toEqual(backupKey.expose());
  expect(recovered).toMatchObject({ attempt: 2, limit: 3, attemptsElsewhere: 0, renewal: { state: 'renewed' } });
  expect(await vault.describe(recordId)).toMatchObject({ attemptsUsed: 0 }); // enrolled anew, with a full budget

  await vault.enroll({ recordId, code: NEW_CODE, backupKey, policy: { limit: 3, coolDownMs: 0 } });
  await expect(vault.recover({ recordId, code: CODE })).rejects.toMatchObject({ code: 'WRONG_CODE' });
  expect((await vault.recover({ recordId, code: NEW_CODE })).backupKey.expose()).toEqual(backupKey.expose());

  expect((await vault.erase(recordId)).pending).toEqual([1, 2, 3]); // enrolled within the hour
  expect(await vault.describe(recordId)).toMatchObject({ state: 'erased', holders: [] });
  expect(await refusalOf(vault.recover({ recordId, code: NEW_CODE }))).toBe('ERASED');
  expect((await world.store.attempts(rid))?.state).toBe(RecordState.ERASED);
  expect(await world.store.keysOf(rid)).toEqual([`a/${toHex(rid)}`]);
});

test('what is stored of a record stays small', async () => {
  const recordId = 'small';
  const rid = world.rid(recordId);
  await vault.enroll({ recordId, code: CODE, backupKey: new SecretBytes(randomBytes(32)), policy: { limit: 10, coolDownMs: 0 } });
  const { body } = await world.committed(rid);
  const subRecords = await stolenSubRecords(world, body);
  expect(subRecords.map((each) => renderSubRecord(each).value.length)).toEqual([72, 72, 72]);
  expect(toBinary(BodySchema, body).length).toBeLessThanOrEqual(600);
  expect(await world.store.keysOf(rid)).toEqual([`a/${toHex(rid)}`]);
  expect(await world.store.size(rid)).toBeLessThanOrEqual(120);
});

test('no guard keeps what was erased', async () => {
  const draft = await enrolled(world, 'bob');
  await vault.erase('bob');
  const request = voteRequest(draft, await guess(world, draft, 'a code'), 1);
  for (const index of [1, 2, 3]) expect(await refusalOf(world.peer(index).calls.vote(request))).toBe('GENERATION_UNKNOWN');
});

test('a cool-down is told beforehand, and another point has to wait for it', async () => {
  const backupKey = new SecretBytes(randomBytes(32));
  await vault.enroll({ recordId: 'carol', code: CODE, backupKey, policy: { limit: 3, coolDownMs: 60_000 } });
  await expect(vault.recover({ recordId: 'carol', code: 'wrong horse battery' })).rejects.toMatchObject({ code: 'WRONG_CODE' });
  const soon = Date.now() + 30_000;
  expect((await vault.describe('carol')).notBefore).toBeGreaterThan(soon);
  const refused = vault.recover({ recordId: 'carol', code: CODE });
  await expect(refused).rejects.toMatchObject({ code: 'COOLING_DOWN', details: { notBefore: expect.toSatisfy((time) => time > soon) } });
  expect(await vault.describe('carol')).toMatchObject({ attemptsUsed: 1 });
});
