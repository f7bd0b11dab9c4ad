import { sha256 } from '@noble/hashes/sha2.js';
import { expect, test } from 'vitest';
import { refusalOf } from '../fleet/verify/checks.ts';
import { encodeStatement } from '../protocol/statement.ts';
import { InstantClock } from '../test/harness/soft-client.ts';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { Fleet } from './fleet.ts';
import { trustIn, trustInDraining } from './trust.ts';
import { trustPinned } from './trust-pinned.ts';

const fleet = new SoftFleet();
const { bytes, document, hash } = fleet.statement;
const now = Date.UTC(2026, 0);

test('a pinned statement is trusted, and no other', async () => {
  expect(trustPinned(bytes, fleet.policy, now)).toMatchObject({ fleet: fleet.name, epoch: 1 });
  for (const [other, statementHashes] of [
    [new SoftFleet().statement.bytes, fleet.policy.statementHashes],
    [bytes, []],
    [bytes, [hash.slice(0, 31)]],
  ] as const)
    expect(refused(() => trustPinned(other, { kind: 'pinned', statementHashes }, now))).toBe('statement-not-pinned');
});

test('a pin does not excuse a statement that breaks the rules', async () => {
  const bad = encodeStatement({
    ...document,
    replicas: document.replicas.map((replica) => ({ ...replica, receipt_key: replica.oprf_key })),
  });
  expect(refused(() => trustPinned(bad, { kind: 'pinned', statementHashes: [sha256(bad)] }, now))).toBe('duplicate-key');
});

test.each([
  ['before', Date.parse(document.not_before) - 1],
  ['at the end of', Date.parse(document.not_after)],
])('a statement is refused %s its validity', async (_, time) => {
  expect(refused(() => trustPinned(bytes, fleet.policy, time))).toBe('statement-not-in-force');
});

test('a statement that runs out is refused though it was trusted', async () => {
  const clock = new InstantClock();
  const known = new Fleet(fleet.name, trustIn(fleet.policy), fleet, clock);
  await known.statement();
  clock.slept = 20 * 365 * 24 * 3600 * 1000;
  await expect(known.statement()).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED' });
});

test('a statement of another fleet, or of an epoch before one that was seen, is refused', async () => {
  const [older, newer] = [new SoftFleet({ epoch: 4 }), new SoftFleet({ epoch: 5 })];
  const policy = { kind: 'pinned', statementHashes: [older.statement.hash, newer.statement.hash] } as const;
  const known = new Fleet(newer.name, trustIn(policy), newer, new InstantClock());
  await known.learn({ statement: older.statement.bytes });
  await known.learn({ statement: newer.statement.bytes });
  await expect(known.learn({ statement: older.statement.bytes })).rejects.toMatchObject({ details: { check: 'statement-older' } });
  const other = new Fleet('other', trustIn(policy), newer, new InstantClock());
  await expect(other.statement()).rejects.toMatchObject({ code: 'FLEET_UNTRUSTED', details: { check: 'fleet-differs' } });
});

test('a draining fleet is trusted down to the epoch that is told, and no further', async () => {
  const older = new SoftFleet({ epoch: 4 });
  const inDraining = (epochLeast: number) => new Fleet(older.name, trustInDraining(older.policy, epochLeast), older, new InstantClock());
  expect(await inDraining(4).statement()).toMatchObject({ epoch: 4 });
  await expect(inDraining(5).statement()).rejects.toMatchObject({ details: { check: 'statement-older' } });
  expect(() => inDraining(Number.NaN)).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
});

function refused(act: () => unknown): string | undefined {
  try {
    act();
  } catch (error) {
    return refusalOf(error);
  }
  return undefined;
}
