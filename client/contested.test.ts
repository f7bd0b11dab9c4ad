import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { SecretBytes } from '../primitives/secret-bytes.ts';
import { BeginEnrollmentRequestSchema, FinishEnrollmentRequestSchema } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { ridFor } from '../protocol/record-id.ts';
import { finishTranscript } from '../protocol/transcripts.ts';
import { CODE, clientOf, enrolInput, InstantClock, quickHash, RECORD, WRONG } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { codeInput, ownerKey, proofKey, signWithProofKey } from './derive.ts';
import { makeGeneration } from './generation.ts';
import { gatherOffers } from './offers.ts';
import { blind } from './oprf.ts';
import type { TrustedStatement } from './trust.ts';
import { trustPinned } from './trust-pinned.ts';
import { VaultClient } from './vault-client.ts';

// Whoever is signed in may enrol where there is no record: as at the new fleet, while the record of the account is still at the old one.

let old: SoftFleet;
let fresh: SoftFleet;
const owner = enrolInput({ policy: { limit: 3, coolDownMs: 0 } });
const squatter = enrolInput({ code: '739162' });
const recovery = { recordId: RECORD, code: CODE };

beforeEach(async () => {
  [old, fresh] = [new SoftFleet(), new SoftFleet({ epoch: 2 })];
  await clientOf(old).enroll(owner);
});

function device(): VaultClient {
  const policy = { kind: 'pinned', statementHashes: [old.statement.hash, fresh.statement.hash] } as const;
  const common = { policy, fleet: old.name, tenant: SoftFleet.tenant, clock: new InstantClock(), argon2id: quickHash };
  return new VaultClient({ ...common, transport: fresh, draining: { transport: old, epochLeast: 1 } });
}

const squat = () => clientOf(fresh).enroll(squatter);

const stateAt = async (fleet: SoftFleet) => (await clientOf(fleet).describe(RECORD)).state;

/** What a coordinator says of a record's owner, whoever that is. */
const claim = (fleet: SoftFleet, { backupKey }: typeof owner): void => {
  const said = ownerKeyOf(backupKey);
  fleet.tamper.describeRecord = (reply) => {
    reply.ownerKey = said;
  };
};

describe('a record that somebody enrolled at the new fleet under another backup key', () => {
  beforeEach(squat);

  test('is told of, and the old one is shown', async () => {
    expect(await device().describe(RECORD)).toMatchObject({ fleet: 'old', rival: 'contested', attemptsLimit: 3 });
    expect(await device().describe(RECORD, 'new')).toMatchObject({ fleet: 'new', rival: 'contested', attemptsLimit: 10 });
  });

  test('keeps nobody from theirs, and is neither asked, replaced nor erased', async () => {
    const { backupKey, ...result } = await device().recover(recovery);
    expect(backupKey.expose()).toEqual(owner.backupKey.expose());
    expect(result).toMatchObject({ fleet: 'old', rival: 'contested', renewal: { state: 'failed', error: { code: 'OWNER_REFUSED' } } });
    expect(fresh.received('beginRecovery')).toEqual([]);
    expect(fresh.received('beginEnrollment').length).toBe(1); // the squatter's own
    for (const fleet of [old, fresh]) expect(await stateAt(fleet)).toBe('live');
  });

  test('learns of no code: a wrong one counts at the old fleet, and it is said that there are two records', async () => {
    await expect(device().recover({ ...recovery, code: WRONG })).rejects.toMatchObject({
      code: 'WRONG_CODE',
      details: { attemptsUsed: 1, attemptsLimit: 3, rival: 'contested' },
    });
    expect([old.attemptsOf(RECORD), fresh.attemptsOf(RECORD)]).toEqual([1, 0]);
  });

  test('does not count where it is exhausted either', async () => {
    for (let i = 0; i < 10; i++)
      await clientOf(fresh)
        .recover({ ...recovery, code: WRONG })
        .catch(() => {});
    expect(await stateAt(fresh)).toBe('exhausted');
    expect((await device().recover(recovery)).backupKey.expose()).toEqual(owner.backupKey.expose());
  });

  test('is opened where the app says so, and the old one is kept', async () => {
    const { backupKey, ...result } = await device().recover({ ...recovery, code: squatter.code, from: 'new' });
    expect(backupKey.expose()).toEqual(squatter.backupKey.expose());
    expect(result).toMatchObject({ fleet: 'new', rival: 'contested', renewal: { result: { drained: { state: 'kept' } } } });
    expect(await stateAt(old)).toBe('live');
  });

  test('makes two recoveries of one code in both fleets', async () => {
    const one = device();
    const both = [one.recover(recovery), one.recover({ ...recovery, from: 'new' })];
    expect(await Promise.allSettled(both)).toMatchObject([{ value: { fleet: 'old' } }, { reason: { code: 'WRONG_CODE' } }]);
  });

  test('changes nothing in that a lost reply costs nothing', async () => {
    const one = device();
    old.lose('beginRecovery', 4);
    await expect(one.recover(recovery)).rejects.toMatchObject({ code: 'OUTCOME_UNKNOWN', details: { rival: 'contested' } });
    expect(await one.recover(recovery)).toMatchObject({ attempt: 1 });
  });

  test('gives its place back once the frontend erased it there alone, and a device with the backup key enrols', async () => {
    const one = device();
    await one.recover(recovery);
    await expect(one.enroll(owner)).rejects.toMatchObject({ code: 'OWNER_REFUSED' });
    expect((await one.erase(RECORD, 'new')).erased).toEqual([1, 2, 3]);
    expect(await stateAt(old)).toBe('live');
    expect(await one.enroll(owner)).toMatchObject({ epoch: 2, drained: { state: 'erased' } });
    expect(await one.recover(recovery)).toMatchObject({ fleet: 'new', rival: 'none', renewal: { state: 'renewed' } });
  });

  test('and is erased with the old one where the whole record is', async () => {
    await device().erase(RECORD);
    for (const fleet of [old, fresh]) expect(await stateAt(fleet)).toBe('erased');
  });
});

describe('a tombstone at the new fleet, which names no owner', () => {
  beforeEach(async () => {
    await squat();
    await clientOf(fresh).erase(RECORD);
  });

  test('counts, but it is said that the old fleet has a record', async () => {
    expect(await device().describe(RECORD)).toMatchObject({ fleet: 'new', state: 'erased', rival: 'contested' });
    await expect(device().recover(recovery)).rejects.toMatchObject({ code: 'ERASED', details: { rival: 'contested' } });
    expect(old.received('beginRecovery')).toEqual([]);
  });

  test('and where the app says so, that one is recovered, and moves', async () => {
    const { backupKey, ...result } = await device().recover({ ...recovery, from: 'old' });
    expect(backupKey.expose()).toEqual(owner.backupKey.expose());
    expect(result).toMatchObject({ fleet: 'old', rival: 'none', renewal: { result: { epoch: 2, drained: { state: 'erased' } } } });
    expect([await stateAt(old), await stateAt(fresh)]).toEqual(['erased', 'live']);
  });

  test('is not enrolled over with another backup key than the old fleet’s', async () => {
    await expect(device().enroll(squatter)).rejects.toMatchObject({ code: 'OWNER_REFUSED' });
    expect(await stateAt(fresh)).toBe('erased');
  });
});

test('a record that somebody enrolled at the old fleet, once the user’s had moved, is told of alike', async () => {
  expect((await device().recover(recovery)).renewal).toMatchObject({ result: { drained: { state: 'erased' } } });
  await clientOf(old).enroll(squatter);
  await expect(device().recover(recovery)).rejects.toMatchObject({ code: 'WRONG_CODE', details: { rival: 'contested' } });
  const { backupKey, ...result } = await device().recover({ ...recovery, from: 'new' });
  expect(backupKey.expose()).toEqual(owner.backupKey.expose());
  expect(result).toMatchObject({ fleet: 'new', rival: 'contested', renewal: { result: { drained: { state: 'kept' } } } });
  await device().erase(RECORD, 'old');
  expect(await device().recover(recovery)).toMatchObject({ fleet: 'new', rival: 'none' });
});

describe('two records of one owner, as where a move stopped half-way', () => {
  beforeEach(async () => {
    await clientOf(fresh).enroll({ ...owner, code: '284617' });
  });

  test('are told of, and the new one counts', async () => {
    expect(await device().describe(RECORD)).toMatchObject({ fleet: 'new', rival: 'same-owner' });
    await expect(device().recover(recovery)).rejects.toMatchObject({ code: 'WRONG_CODE', details: { rival: 'same-owner' } });
    expect(old.received('beginRecovery')).toEqual([]);
  });

  test('and from the old one, where the app says so, the new one is replaced with the owner’s consent', async () => {
    const { renewal } = await device().recover({ ...recovery, from: 'old' });
    expect(renewal).toMatchObject({ state: 'renewed', result: { epoch: 2, drained: { state: 'erased' } } });
    expect((await device().recover(recovery)).backupKey.expose()).toEqual(owner.backupKey.expose());
  });
});

describe('an owner key is public, so whoever is signed in may copy it', () => {
  beforeEach(() => squatUnder(owner.backupKey));

  test('the code is wrong then at the new fleet, and right at the old one, whose owner replaces the copy', async () => {
    await expect(device().recover(recovery)).rejects.toMatchObject({ code: 'WRONG_CODE', details: { rival: 'same-owner' } });
    const { backupKey, renewal } = await device().recover({ ...recovery, from: 'old' });
    expect(backupKey.expose()).toEqual(owner.backupKey.expose());
    expect(renewal).toMatchObject({ state: 'renewed', result: { drained: { state: 'erased' } } });
  });

  test('and a backup key that does not give the owner key is not accepted', async () => {
    await expect(device().recover({ ...recovery, code: squatter.code })).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
    await expect(clientOf(fresh).recover({ ...recovery, code: squatter.code })).rejects.toMatchObject({ code: 'REPLY_UNTRUSTED' });
  });
});

describe('a coordinator that lies about the owner', () => {
  test('of the new record can have the old one looked for last, and no more', async () => {
    await squat();
    claim(fresh, owner);
    await expect(device().recover(recovery)).rejects.toMatchObject({ code: 'WRONG_CODE', details: { rival: 'same-owner' } });
    const { backupKey, renewal } = await device().recover({ ...recovery, from: 'old' });
    expect(backupKey.expose()).toEqual(owner.backupKey.expose());
    expect(renewal).toMatchObject({ state: 'failed', error: { code: 'OWNER_REFUSED' } }); // by the replicas
    delete fresh.tamper.describeRecord;
    for (const fleet of [old, fresh]) expect(await stateAt(fleet)).toBe('live');
  });

  test('of the user’s own new record can have the old one tried first, and no more', async () => {
    await clientOf(fresh).enroll(owner);
    claim(fresh, squatter);
    expect((await device().recover(recovery)).renewal).toMatchObject({ state: 'failed', error: { code: 'OWNER_REFUSED' } });
    delete fresh.tamper.describeRecord;
    expect((await device().recover(recovery)).renewal).toMatchObject({ result: { drained: { state: 'erased' } } });
  });

  test('of the old record is found out by the backup key', async () => {
    await clientOf(fresh).enroll(owner);
    claim(old, squatter);
    expect(await device().describe(RECORD)).toMatchObject({ rival: 'contested' });
    const { fleet, rival, renewal } = await device().recover({ ...recovery, from: 'old' });
    expect([fleet, rival, renewal.state]).toEqual(['old', 'same-owner', 'renewed']);
  });
});

test('an old fleet that does not answer holds up no record that the new one has, and that is told', async () => {
  await clientOf(fresh).enroll(owner);
  old.fail('describeRecord', ...Array.from({ length: 99 }, () => 'STORE_UNAVAILABLE' as const));
  expect(await device().describe(RECORD)).toMatchObject({ fleet: 'new', rival: 'unknown' });
  expect(await device().recover(recovery)).toMatchObject({ fleet: 'new', rival: 'unknown', renewal: { state: 'renewed' } });
  await expect(device().recover({ ...recovery, from: 'old' })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
});

test('a new backup key that takes the place of the one before leaves no record of that one at the old fleet', async () => {
  const second = { ...enrolInput(), replaces: owner.backupKey };
  expect(await device().enroll(second)).toMatchObject({ drained: { state: 'erased' } });

  [old, fresh] = [new SoftFleet(), new SoftFleet({ epoch: 2 })];
  for (const fleet of [old, fresh]) await clientOf(fleet).enroll(owner);
  expect(await device().enroll(second)).toMatchObject({ drained: { state: 'erased' } });
});

test.each(['old', 'new'] as const)('what the %s fleet does not have is RECORD_UNKNOWN where the app asks for that one', async (from) => {
  if (from === 'old') {
    old = new SoftFleet();
    await clientOf(fresh).enroll(owner);
  }
  for (const ask of [device().recover({ ...recovery, from }), device().describe(RECORD, from), device().erase(RECORD, from)])
    await expect(ask).rejects.toMatchObject({ code: 'RECORD_UNKNOWN' });
});

test('where no fleet is being replaced, there is the new one alone', async () => {
  expect(await clientOf(old).describe(RECORD)).toMatchObject({ fleet: 'new', rival: 'none' });
  expect(await clientOf(old).recover({ ...recovery, from: 'new' })).toMatchObject({ fleet: 'new', rival: 'none' });
  await expect(clientOf(old).recover({ ...recovery, from: 'old' })).rejects.toMatchObject({ code: 'RECORD_UNKNOWN' });
});

const rid = () => ridFor(fresh.name, SoftFleet.tenant, RECORD);

const ownerKeyOf = (backupKey: SecretBytes) => ownerKey(backupKey, rid()).publicKey;

/** Enrols the squatter's backup key at the new fleet, in a body with the owner key of another one. */
async function squatUnder(copied: SecretBytes): Promise<void> {
  const statement = trustPinned(fresh.statement.bytes, fresh.policy, Date.UTC(2026, 0)) as TrustedStatement;
  const [g, s] = [randomBytes(16), new SecretBytes(randomBytes(32))];
  const blinded = blind(codeInput(squatter.code, fresh.name, rid()));
  const asked = { g, point: blinded.point, proofKey: proofKey(s.expose(), rid(), g) };
  const begin = create(BeginEnrollmentRequestSchema, { recordId: RECORD, ...asked, epoch: BigInt(statement.epoch) });
  const offers = await gatherOffers({ transport: fresh, clock: new InstantClock() }, begin, { statement, rid: rid(), ...asked });
  // What makeGeneration looks at first is what it makes the owner key of.
  const keys = [copied.expose(), squatter.backupKey.expose()];
  const backupKey = Object.assign(new SecretBytes(new Uint8Array(32)), { expose: () => keys.shift() });
  const drawn = { statement, rid: rid(), g, s, blinded, argon2id: quickHash, offers, backupKey };
  const { body, bodyHash } = await makeGeneration({
    ...drawn,
    policy: squatter.policy,
    previous: new Uint8Array(0),
    number: 1n,
    line: g,
  });
  const tickets = offers.map(({ ticket }) => ticket);
  const name = { fleet: fresh.name, epoch: statement.epoch, rid: rid(), g };
  const tags = tickets.map(({ tag }) => tag);
  const signature = signWithProofKey(s.expose(), rid(), g, finishTranscript(name, bodyHash, tags));
  const finish = { recordId: RECORD, point: blinded.point, body, tickets, signature };
  await fresh.finishEnrollment(create(FinishEnrollmentRequestSchema, finish));
  expect(body.ownerKey).toEqual(ownerKeyOf(copied));
}
