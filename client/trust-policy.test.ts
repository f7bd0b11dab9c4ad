import { sha256 } from '@noble/hashes/sha2.js';
import { expect, test } from 'vitest';
import { encodeStatement } from '../protocol/statement.ts';
import { InstantClock } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { Fleet } from './fleet.ts';
import { trustStatement } from './trust-policy.ts';

const fleet = new SoftFleet();
const { bytes, document, hash } = fleet.statement;
const now = Date.UTC(2026, 0);

test('a pinned statement is trusted, and no other', async () => {
  expect(await trustStatement(bytes, fleet.policy, now)).toMatchObject({ fleet: fleet.name, epoch: 1 });
  await expect(trustStatement(new SoftFleet().statement.bytes, fleet.policy, now)).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED' });
  await expect(trustStatement(bytes, { kind: 'pinned', statementHashes: [] }, now)).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED' });
  await expect(trustStatement(bytes, { kind: 'pinned', statementHashes: [hash.slice(0, 31)] }, now)).rejects.toMatchObject({
    code: 'FLEET_UNTRUSTED',
  });
});

test('a pin does not excuse a statement that breaks the rules', async () => {
  const bad = encodeStatement({
    ...document,
    replicas: document.replicas.map((replica) => ({ ...replica, receipt_key: replica.session_key })),
  });
  await expect(trustStatement(bad, { kind: 'pinned', statementHashes: [sha256(bad)] }, now)).rejects.toMatchObject({
    code: 'FLEET_UNTRUSTED',
  });
});

test.each([
  ['before', Date.parse(document.not_before) - 1],
  ['at the end of', Date.parse(document.not_after)],
])('a statement is refused %s its validity', async (_, time) => {
  await expect(trustStatement(bytes, fleet.policy, time)).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED' });
});

test('a statement that runs out is refused though it was trusted', async () => {
  const clock = new InstantClock();
  const known = new Fleet(fleet.name, fleet.policy, fleet, clock);
  await known.statement();
  clock.slept = 20 * 365 * 24 * 3600 * 1000;
  await expect(known.statement()).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED' });
});

test('a statement of another fleet, or of an epoch before one that was seen, is refused', async () => {
  const [older, newer] = [new SoftFleet({ epoch: 4 }), new SoftFleet({ epoch: 5 })];
  const policy = { kind: 'pinned', statementHashes: [older.statement.hash, newer.statement.hash] } as const;
  const known = new Fleet(newer.name, policy, newer, new InstantClock());
  await known.learn(older.statement.bytes);
  await known.learn(newer.statement.bytes);
  await expect(known.learn(older.statement.bytes)).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED' });
  await expect(new Fleet('other', policy, newer, new InstantClock()).statement()).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED' });
});
