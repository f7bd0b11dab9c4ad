import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { VaultTransport } from '../../client/transport.ts';
import { VaultClient } from '../../client/vault-client.ts';
import { toHex } from '../../primitives/bytes.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { encodeStatement, parseStatement, type Statement } from '../../protocol/statement.ts';
import { DevFleet } from '../harness/dev-fleet.ts';
import { publishBundle, putStatement, untilPasses } from '../harness/notarised-fleet.ts';
import { quickHash } from '../harness/soft-client.ts';
import { SoftMemory, SoftNotary } from '../harness/soft-notary.ts';

// Two live fleets, each with tokens and an etcd of its own: the new one, at epoch 2, replaces the old one, at epoch 1.

const CODE = 'a code for two fleets';
const WRONG = 'another code altogether';
let old: DevFleet;
let fresh: DevFleet;
let notary: SoftNotary;
let second: Statement;
const memory = new SoftMemory();
const keys = new Map<string, SecretBytes>();

const settings = { bundle_interval_ms: 200 };

/** The successor's tokens under the successor's epoch. */
async function succeed(from: Statement, fleet: DevFleet): Promise<Statement> {
  const next = { ...fleet.statement.document, epoch: from.epoch + 1, previous: toHex(from.hash) };
  const statement = parseStatement(encodeStatement(next));
  await Promise.all(fleet.replicas.map(({ process }) => process.stop()));
  putStatement(fleet, statement);
  await Promise.all(fleet.replicas.map(({ process }) => process.start()));
  return statement;
}

function device({ transport = fresh.open().transport, knows = 'both' }: { transport?: VaultTransport; knows?: 'both' | 'old' } = {}) {
  const { fleet, tenant } = old.client;
  const common = { fleet, tenant, argon2id: quickHash };
  const oldTransport = old.open().transport;
  if (knows === 'old') return new VaultClient({ ...common, transport: oldTransport, policy: notary.policy() });
  const policy = notary.policy({ epochLeast: 2, memory });
  return new VaultClient({ ...common, transport, policy, draining: { transport: oldTransport, epochLeast: 1 } });
}

const stateAt = async (fleet: DevFleet, recordId: string) => (await fleet.store.attempts(fleet.rid(recordId)))?.state;

async function enrolAtOld(recordId: string, limit = 5): Promise<void> {
  const backupKey = new SecretBytes(randomBytes(32));
  keys.set(recordId, backupKey);
  await device({ knows: 'old' }).enroll({ recordId, code: CODE, backupKey, policy: { limit, coolDownMs: 0 } });
}

beforeAll(async () => {
  old = await DevFleet.start({ etcdMembers: 1, settings });
  fresh = await DevFleet.start({ etcdMembers: 1, settings });
  notary = await SoftNotary.create(Date.now());
  second = await succeed(old.statement, fresh);
  notary.append(old.statement.bytes, second.bytes);
  publishBoth();
  await untilPasses(() => enrolAtOld('alice'));
  for (const recordId of ['bob', 'carol', 'frank']) await enrolAtOld(recordId);
  await enrolAtOld('dave', 2);
  notary.enforce(second, Date.now(), Date.now());
  publishBoth();
});

/** The old fleet's first: whoever saw the new fleet's checkpoint takes no smaller one. */
function publishBoth(): void {
  publishBundle(old, notary, old.statement.bytes);
  publishBundle(fresh, notary, second.bytes);
}

afterAll(async () => {
  await fresh?.stop();
  await old?.stop();
});

test('a device that knows the old fleet alone refuses it once the new one is in force', async () => {
  await untilPasses(() =>
    expect(device({ knows: 'old' }).describe('alice')).rejects.toMatchObject({
      code: 'FLEET_UNTRUSTED',
      details: { check: 'statement-superseded' },
    }),
  );
});

test('a recovery moves the record to the new fleet', async () => {
  const { backupKey, renewal } = await untilPasses(() => device().recover({ recordId: 'alice', code: CODE }));
  expect(backupKey.expose()).toEqual(keys.get('alice')?.expose());
  expect(renewal).toMatchObject({ state: 'renewed', result: { epoch: 2, holders: [1, 2, 3], drained: { state: 'erased' } } });
  expect(await stateAt(old, 'alice')).toBe(RecordState.ERASED);
  expect(await stateAt(fresh, 'alice')).toBe(RecordState.LIVE);
  expect((await device().recover({ recordId: 'alice', code: CODE })).backupKey.expose()).toEqual(keys.get('alice')?.expose());
  expect(memory.remembered).toMatchObject({ epochLeast: 2, checkpoint: { size: 3 } });
});

test('so does an enrolment by a device that holds the backup key', async () => {
  const backupKey = keys.get('bob') as SecretBytes;
  const enrolled = await device().enroll({ recordId: 'bob', code: 'a newer code for bob', backupKey, policy: { limit: 5, coolDownMs: 0 } });
  expect(enrolled).toMatchObject({ epoch: 2, drained: { state: 'erased' } });
  expect(await stateAt(old, 'bob')).toBe(RecordState.ERASED);
});

test('a move that stops between enrolment and erasure is finished by the next recovery', async () => {
  const { transport } = fresh.open();
  const dying: VaultTransport = {
    ...transport,
    finishEnrollment: async (request) => {
      await transport.finishEnrollment(request);
      throw new Error('the device is gone');
    },
  };
  expect((await device({ transport: dying }).recover({ recordId: 'carol', code: CODE })).renewal).toMatchObject({ state: 'unknown' });
  expect([await stateAt(old, 'carol'), await stateAt(fresh, 'carol')]).toEqual([RecordState.LIVE, RecordState.LIVE]);
  const { backupKey, renewal } = await device().recover({ recordId: 'carol', code: CODE });
  expect(backupKey.expose()).toEqual(keys.get('carol')?.expose());
  expect(renewal).toMatchObject({ result: { drained: { state: 'erased' } } });
  expect([await stateAt(old, 'carol'), await stateAt(fresh, 'carol')]).toEqual([RecordState.ERASED, RecordState.LIVE]);
});

test('a record that somebody else enrolled at the new fleet first keeps nobody from theirs, and gives its place back', async () => {
  const { fleet, tenant } = old.client;
  const policy = { limit: 5, coolDownMs: 0 };
  const squatter = { recordId: 'frank', code: WRONG, backupKey: new SecretBytes(randomBytes(32)), policy };
  const signedIn = { transport: fresh.open().transport, policy: notary.policy({ epochLeast: 2 }) };
  await new VaultClient({ ...signedIn, fleet, tenant, argon2id: quickHash }).enroll(squatter);

  const { backupKey, ...result } = await device().recover({ recordId: 'frank', code: CODE });
  expect(backupKey.expose()).toEqual(keys.get('frank')?.expose());
  expect(result).toMatchObject({ fleet: 'old', rival: 'contested', renewal: { state: 'failed', error: { code: 'OWNER_REFUSED' } } });
  expect([await stateAt(old, 'frank'), await stateAt(fresh, 'frank')]).toEqual([RecordState.LIVE, RecordState.LIVE]);

  const own = { recordId: 'frank', code: CODE, backupKey, policy };
  await expect(device().enroll(own)).rejects.toMatchObject({ code: 'OWNER_REFUSED' });
  await device().erase('frank', 'new');
  expect(await device().enroll(own)).toMatchObject({ epoch: 2, drained: { state: 'erased' } });
  expect(await device().recover({ recordId: 'frank', code: CODE })).toMatchObject({ fleet: 'new', rival: 'none' });
});

test('the old fleet’s limit holds for the old generation', async () => {
  for (const attemptsUsed of [1, 2])
    await expect(device().recover({ recordId: 'dave', code: WRONG })).rejects.toMatchObject({
      code: 'WRONG_CODE',
      details: { attemptsUsed },
    });
  await expect(device().recover({ recordId: 'dave', code: CODE })).rejects.toMatchObject({ code: 'EXHAUSTED' });
  expect(await stateAt(fresh, 'dave')).toBeUndefined();
});

test('an address of the old fleet that leads to the new one erases nothing', async () => {
  const { fleet, tenant } = old.client;
  const misled = new VaultClient({
    ...{ fleet, tenant, argon2id: quickHash, transport: fresh.open().transport },
    policy: notary.policy({ epochLeast: 2, memory }),
    draining: { transport: fresh.open().transport, epochLeast: 1 },
  });
  const backupKey = new SecretBytes(randomBytes(32));
  const policy = { limit: 5, coolDownMs: 0 };
  expect(await misled.enroll({ recordId: 'erin', code: CODE, backupKey, policy })).toMatchObject({ drained: { state: 'misdirected' } });
  const { renewal } = await misled.recover({ recordId: 'erin', code: CODE });
  expect(renewal).toMatchObject({ state: 'renewed', result: { drained: { state: 'misdirected' } } });
  expect(await stateAt(fresh, 'erin')).toBe(RecordState.LIVE);
});

test('a device that must not accept the old fleet’s epoch is told so, and nothing moves', async () => {
  const { fleet, tenant } = old.client;
  const strict = new VaultClient({
    ...{ fleet, tenant, argon2id: quickHash, transport: fresh.open().transport },
    policy: notary.policy({ memory }),
    draining: { transport: old.open().transport, epochLeast: 2 },
  });
  await expect(strict.recover({ recordId: 'dave', code: CODE })).rejects.toMatchObject({
    code: 'FLEET_UNTRUSTED',
    details: { check: 'statement-older' },
  });
});
