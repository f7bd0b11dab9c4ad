import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { VaultTransport } from '../../client/transport.ts';
import { VaultClient } from '../../client/vault-client.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { untilPasses } from '../harness/notarised-fleet.ts';
import { CODE, Overlap, stateAt, WRONG } from '../harness/overlap.ts';
import { quickHash } from '../harness/soft-client.ts';

// A fleet that is replaced by another one, with devices in between. Who takes the place of others there: test/attacks/squatter.test.ts.

let overlap: Overlap;

beforeAll(async () => {
  overlap = await Overlap.start();
  for (const recordId of ['alice', 'bob', 'carol']) await overlap.enrolAtOld(recordId);
  await overlap.enrolAtOld('dave', 2);
  overlap.enforce();
});

afterAll(() => overlap?.stop());

test('a device that knows the old fleet alone refuses it once the new one is in force', async () => {
  await untilPasses(() =>
    expect(overlap.device({ knows: 'old' }).describe('alice')).rejects.toMatchObject({
      code: 'FLEET_UNTRUSTED',
      details: { check: 'statement-superseded' },
    }),
  );
});

test('a recovery moves the record to the new fleet', async () => {
  const { backupKey, renewal } = await untilPasses(() => overlap.device().recover({ recordId: 'alice', code: CODE }));
  expect(backupKey.expose()).toEqual(overlap.keyOf('alice').expose());
  expect(renewal).toMatchObject({ state: 'renewed', result: { epoch: 2, holders: [1, 2, 3], drained: { state: 'erased' } } });
  expect(await stateAt(overlap.old, 'alice')).toBe(RecordState.ERASED);
  expect(await stateAt(overlap.fresh, 'alice')).toBe(RecordState.LIVE);
  expect((await overlap.device().recover({ recordId: 'alice', code: CODE })).backupKey.expose()).toEqual(overlap.keyOf('alice').expose());
  expect(overlap.memory.remembered).toMatchObject({ epochLeast: 2, checkpoint: { size: 3 } });
});

test('so does an enrolment by a device that holds the backup key', async () => {
  const backupKey = overlap.keyOf('bob');
  const enrolled = await overlap
    .device()
    .enroll({ recordId: 'bob', code: 'a newer code for bob', backupKey, policy: { limit: 5, coolDownMs: 0 } });
  expect(enrolled).toMatchObject({ epoch: 2, drained: { state: 'erased' } });
  expect(await stateAt(overlap.old, 'bob')).toBe(RecordState.ERASED);
});

test('a move that stops between enrolment and erasure is finished by the next recovery', async () => {
  const { transport } = overlap.fresh.open();
  const dying: VaultTransport = {
    ...transport,
    finishEnrollment: async (request) => {
      await transport.finishEnrollment(request);
      throw new Error('the device is gone');
    },
  };
  expect((await overlap.device({ transport: dying }).recover({ recordId: 'carol', code: CODE })).renewal).toMatchObject({
    state: 'unknown',
  });
  expect([await stateAt(overlap.old, 'carol'), await stateAt(overlap.fresh, 'carol')]).toEqual([RecordState.LIVE, RecordState.LIVE]);
  const { backupKey, renewal } = await overlap.device().recover({ recordId: 'carol', code: CODE });
  expect(backupKey.expose()).toEqual(overlap.keyOf('carol').expose());
  expect(renewal).toMatchObject({ result: { drained: { state: 'erased' } } });
  expect([await stateAt(overlap.old, 'carol'), await stateAt(overlap.fresh, 'carol')]).toEqual([RecordState.ERASED, RecordState.LIVE]);
});

test('the old fleet’s limit holds for the old generation', async () => {
  for (const attemptsUsed of [1, 2])
    await expect(overlap.device().recover({ recordId: 'dave', code: WRONG })).rejects.toMatchObject({
      code: 'WRONG_CODE',
      details: { attemptsUsed },
    });
  await expect(overlap.device().recover({ recordId: 'dave', code: CODE })).rejects.toMatchObject({ code: 'EXHAUSTED' });
  expect(await stateAt(overlap.fresh, 'dave')).toBeUndefined();
});

test('an address of the old fleet that leads to the new one erases nothing', async () => {
  const { fleet, tenant } = overlap.old.client;
  const misled = new VaultClient({
    ...{ fleet, tenant, argon2id: quickHash, transport: overlap.fresh.open().transport },
    policy: overlap.notary.policy({ epochLeast: 2, memory: overlap.memory }),
    draining: { transport: overlap.fresh.open().transport, epochLeast: 1 },
  });
  const backupKey = new SecretBytes(randomBytes(32));
  const policy = { limit: 5, coolDownMs: 0 };
  expect(await misled.enroll({ recordId: 'erin', code: CODE, backupKey, policy })).toMatchObject({ drained: { state: 'misdirected' } });
  const { renewal } = await misled.recover({ recordId: 'erin', code: CODE });
  expect(renewal).toMatchObject({ state: 'renewed', result: { drained: { state: 'misdirected' } } });
  expect(await stateAt(overlap.fresh, 'erin')).toBe(RecordState.LIVE);
});

test('a device that must not accept the old fleet’s epoch is told so, and nothing moves', async () => {
  const { fleet, tenant } = overlap.old.client;
  const strict = new VaultClient({
    ...{ fleet, tenant, argon2id: quickHash, transport: overlap.fresh.open().transport },
    policy: overlap.notary.policy({ memory: overlap.memory }),
    draining: { transport: overlap.old.open().transport, epochLeast: 2 },
  });
  await expect(strict.recover({ recordId: 'dave', code: CODE })).rejects.toMatchObject({
    code: 'FLEET_UNTRUSTED',
    details: { check: 'statement-older' },
  });
});
