import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Register } from '../../daemon/ledger/register.ts';
import type { Millis } from '../../primitives/brand.ts';
import { toHex } from '../../primitives/bytes.ts';
import { systemClock } from '../../primitives/clock.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type Guess, guess, voteRequest } from './support/attempt.ts';
import { CODE, type Draft, draftEnrolment, enrolled, erasure, finishRequest, prepareRequest } from './support/draft.ts';
import { eventually } from './support/eventually.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';

const TICKET_LIFE: Millis = 5000; // the other tests enrol well within it

let own: OwnFleet;

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1, settings: { erase_grace_ms: 6000, sweep_interval_ms: 200, ticket_life_ms: TICKET_LIFE } });
});

afterAll(() => own?.stop());

/** A guard that holds a generation votes for it, whatever etcd says. */
const guardSays = (index: number, draft: Draft, any: Guess) =>
  refusalOf(own.world.peer(index).calls.vote(voteRequest(draft, any, draft.body.policy.limit)));

test('a record is erased everywhere once its attempts are spent and the grace is over', async () => {
  const { world } = own;
  const device = world.device();
  await device.enroll({ recordId: 'spent', code: CODE, backupKey: new SecretBytes(randomBytes(32)), policy: { limit: 2, coolDownMs: 0 } });
  for (const code of ['wrong 1', 'wrong 2'])
    await expect(device.recover({ recordId: 'spent', code })).rejects.toMatchObject({ code: 'WRONG_CODE' });

  // At once, and not only after the grace.
  await expect(world.device().recover({ recordId: 'spent', code: CODE })).rejects.toMatchObject({ code: 'EXHAUSTED' });
  expect(await device.describe('spent')).toMatchObject({ state: 'exhausted', attemptsUsed: 2, attemptsLimit: 2, holders: [1, 2, 3] });
  expect(await eventually('erased', async () => (await device.describe('spent')).state)).toBe('erased');

  const rid = world.rid('spent');
  expect(await world.store.attempts(rid)).toMatchObject({ state: RecordState.ERASED, points: [] });
  expect(await world.store.isExhausted(rid)).toBe(false);
  expect(await world.store.keysOf(rid)).toEqual([`a/${toHex(rid)}`]);
  await expect(world.device().recover({ recordId: 'spent', code: CODE })).rejects.toMatchObject({ code: 'ERASED' });
});

test('no guard keeps a generation that was erased, not even one of a replica that was down', async () => {
  const { fleet, world } = own;
  const draft = await enrolled(world, 'down');
  const any = await guess(world, draft, 'a code');
  const third = fleet.replica(3).process;
  await third.kill();
  expect((await world.device().erase('down')).pending).toEqual([1, 2]); // enrolled within the hour
  for (const index of [1, 2]) expect(await guardSays(index, draft, any)).toBe('GENERATION_UNKNOWN');

  await third.start();
  // Housekeeping at its start may come after it serves. Asking would count the attempt once and be free from then on.
  expect(await eventually('GENERATION_UNKNOWN', () => guardSays(3, draft, any))).toBe('GENERATION_UNKNOWN');
});

test('no guard keeps a generation that was erased while nobody told it', async () => {
  const { world } = own;
  const draft = await enrolled(world, 'untold');
  const any = await guess(world, draft, 'a code');
  // A coordinator that ends between the erasure and its word to the guards.
  await new Register(world.etcd, 1, systemClock).erase(draft.rid, draft.g, await erasure(world, draft));
  for (const index of [1, 2, 3])
    expect(await eventually('GENERATION_UNKNOWN', () => guardSays(index, draft, any))).toBe('GENERATION_UNKNOWN');
});

test('what was enrolled anew is not swept away with what was spent before', async () => {
  const { world } = own;
  const first = await enrolled(world, 'renewed', { limit: 1 });
  const { blinded, grant } = await guess(world, first, CODE);
  await world.frontend().beginRecovery({ recordId: 'renewed', g: first.g, point: blinded.point, grant });
  expect(await world.store.isExhausted(first.rid)).toBe(true);
  await enrolled(world, 'renewed', { replaces: first });
  expect(await world.store.isExhausted(first.rid)).toBe(false);
  const spent = await enrolled(world, 'spent-later', { limit: 1 });
  const last = await guess(world, spent, CODE);
  await world.frontend().beginRecovery({ recordId: 'spent-later', g: spent.g, point: last.blinded.point, grant: last.grant });
  const device = world.device();
  expect(await eventually('erased', async () => (await device.describe('spent-later')).state)).toBe('erased');
  expect(await device.describe('renewed')).toMatchObject({ state: 'live', attemptsUsed: 0 });
});

test('a ticket that has run out enrols nothing; what was prepared in time gets the same answer', async () => {
  const { world } = own;
  const [draft, prepared] = [await draftEnrolment(world, 'late'), await draftEnrolment(world, 'in-time')];
  const prepare = async () => world.peer(1).calls.prepare(await prepareRequest(world, prepared, 1));
  const first = (await prepare()).prepared;
  const finish = await finishRequest(world, draft);
  const over = Math.max(...draft.tickets.map(({ expiresAtMs }) => Number(expiresAtMs)));
  expect(await eventually(true, async () => Date.now() > over)).toBe(true);
  expect(await refusalOf(world.frontend().finishEnrollment(finish))).toBe('TICKET_EXPIRED');
  expect(await world.store.attempts(draft.rid)).toBeUndefined();
  expect(first?.index).toBe(1);
  expect((await prepare()).prepared).toEqual(first);
});
