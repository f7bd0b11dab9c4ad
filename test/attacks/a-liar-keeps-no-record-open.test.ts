import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TokenPort } from '../../daemon/token/port.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { BeginEnrollmentResponse, BeginRecoveryResponse, FinishRecoveryResponse } from '../../proto/gen/backupvault/v1/vault_pb.ts';
import type { HashedBody } from '../../protocol/body.ts';
import { destructionBy } from '../../protocol/terms.ts';
import { CODE } from '../integration/support/draft.ts';
import { eventually } from '../integration/support/eventually.ts';
import { type OwnFleet, startOwnFleet } from '../integration/support/own-fleet.ts';
import { liesInFiles, type StolenGuard, stolenGuard, untilDealt } from '../integration/support/stolen-guard.ts';
import { openStolenTokens } from '../integration/support/stolen-token.ts';
import { overheard } from './recorder.ts';
import { type Heard, type Means, reopen, seedsAmong } from './reopen.ts';

// An erasure is told by what replicas sign, and one of them may lie. Replica 1 copied its guard before: its own seed, and its shares of the others' seeds.
// Then it erased and signed as they did. Afterwards its host has the use of all three tokens, what is left in the others' guards, all that was heard on the
// way, and the right code.

const ALL = [1, 2, 3];
const LIAR = 1;

let own: OwnFleet;
let means: Means;

/** A record that was enrolled, and opened once; as every guard had it, and as it was heard. */
interface Recorded {
  readonly recordId: string;
  readonly backupKey: SecretBytes;
  readonly hashed: HashedBody;
  readonly before: ReadonlyMap<number, StolenGuard>;
  readonly heard: { readonly evaluated: readonly Heard[]; readonly released: readonly Heard[] };
}

const records = new Map<string, Recorded>();
const of = (recordId: string) => records.get(recordId) as Recorded;

async function record(recordId: string): Promise<Recorded> {
  const { world } = own;
  const [evaluated, released]: [Heard[], Heard[]] = [[], []];
  const transport = overheard(world.transport(), ({ method, from, message }) => {
    if (from === 'client') return;
    if (method === 'beginEnrollment')
      for (const { ticket } of (message as BeginEnrollmentResponse).offers)
        if (ticket) evaluated.push({ index: ticket.index, x: ticket.evaluated });
    if (method === 'beginRecovery')
      for (const { index, evaluated: x } of (message as BeginRecoveryResponse).evaluations) evaluated.push({ index, x });
    if (method === 'finishRecovery')
      for (const { index, released: x } of (message as FinishRecoveryResponse).releases) released.push({ index, x });
  });
  const device = world.device(transport);
  const backupKey = new SecretBytes(randomBytes(32));
  const input = { recordId, code: CODE, backupKey, policy: { limit: 3, coolDownMs: 0 } };
  expect(await eventually('1,2,3', async () => (await device.enroll(input)).holders.join())).toBe('1,2,3');
  expect((await device.recover({ recordId, code: CODE, renew: false })).backupKey.expose()).toEqual(backupKey.expose());
  const { body, bodyHash } = await world.committed(world.rid(recordId));
  for (const index of ALL) expect(await untilDealt(world, index)).toBe(true);
  const before = new Map<number, StolenGuard>();
  for (const index of ALL) before.set(index, await stolenGuard(world, index, body));
  return { recordId, backupKey, hashed: { body, bodyHash }, before, heard: { evaluated, released } };
}

/** Replicas that sign that they erased it, all those that are there. */
async function erasedBy(recordId: string, expected: readonly number[]) {
  const erase = () => own.world.device().erase(recordId);
  expect(await eventually(expected.join(), async () => (await erase()).erased.join())).toBe(expected.join());
  const { reached, erased } = await erase();
  expect(destructionBy(own.world.statement, new Set(erased))).toBe(reached);
  return reached;
}

/** With what these guards have. */
function left({ hashed, heard }: Recorded, guards: readonly Partial<StolenGuard>[]) {
  return {
    ...hashed,
    ...heard,
    subRecords: guards.flatMap(({ subRecords = [] }) => subRecords),
    shares: guards.flatMap(({ shares = [] }) => shares),
  };
}

/** Whose seeds are left, and whether the record opens. */
async function tryToOpen(which: Recorded, ...guards: readonly Partial<StolenGuard>[]) {
  const all = left(which, guards);
  const seeds = await seedsAmong(means, all);
  const opened = await reopen(means, all);
  if (opened) expect(opened.expose()).toEqual(which.backupKey.expose());
  return { seeds, opens: opened !== undefined };
}

const copyOf = ({ before }: Recorded, index: number) => before.get(index) as StolenGuard;
const guardNow = ({ hashed }: Recorded, index: number) => stolenGuard(own.world, index, hashed.body);

beforeAll(async () => {
  own = await startOwnFleet({ etcdMembers: 1, settings: { sweep_interval_ms: 200 } });
  for (const recordId of ['closed', 'open']) records.set(recordId, await record(recordId));
  const tokens = await openStolenTokens(own.world, ALL);
  means = { tokens: new Map(tokens.map((token, i): [number, TokenPort] => [ALL[i] as number, token])), code: CODE };
  // A replica that starts has another ticket secret, and signs an erasure at once.
  await Promise.all(own.fleet.replicas.map(({ process }) => process.stop()));
  await Promise.all(own.fleet.replicas.map(({ process }) => process.start()));
});

afterAll(async () => {
  for (const token of means?.tokens.values() ?? []) await token.close();
  await own?.stop();
});

test('each guard had its own seed, and a share of both others’', () => {
  for (const { before } of records.values())
    for (const [index, { subRecords, shares }] of before) {
      expect(subRecords.map((one) => one.index)).toEqual([index]);
      expect(shares.map(({ owner }) => owner)).toEqual(ALL.filter((one) => one !== index));
    }
});

test('with n−t+1 statements and one more it stays closed, though one of those who signed kept a copy of all', async () => {
  const which = of('closed');
  const secrets = (index: number) => {
    const { subRecords, shares } = copyOf(which, index);
    return [...subRecords.map(({ seed }) => seed), ...shares.map(({ share }) => share)];
  };
  const inFiles = (index: number) => Promise.all(secrets(index).map((secret) => liesInFiles(own.world, index, secret)));
  for (const index of [2, 3]) expect(await inFiles(index)).toEqual([true, true, true]);
  expect(await erasedBy(which.recordId, ALL)).toBe('destroyed');
  const others = [await guardNow(which, 2), await guardNow(which, 3)];
  expect(await tryToOpen(which, copyOf(which, LIAR), ...others)).toEqual({ seeds: [LIAR], opens: false });
  for (const index of [2, 3]) expect(await inFiles(index)).toEqual([false, false, false]);
});

test('had one of the others kept its shares, it would open', async () => {
  const which = of('closed');
  const { shares } = copyOf(which, 3);
  expect(await tryToOpen(which, copyOf(which, LIAR), { shares })).toEqual({ seeds: [1, 2], opens: true });
});

test('with one statement less it opens: with the copy, and the guard of the replica that was away', async () => {
  const which = of('open');
  await own.fleet.replica(3).process.stop();
  expect(await erasedBy(which.recordId, [1, 2])).toBe('not served, if none of these lies');
  const [second, away] = [await guardNow(which, 2), await guardNow(which, 3)];
  expect(await tryToOpen(which, copyOf(which, LIAR), second, away)).toEqual({ seeds: [1, 2, 3], opens: true });
  const seedIn = ({ subRecords }: StolenGuard) => ({ subRecords });
  expect(await tryToOpen(which, seedIn(copyOf(which, LIAR)), seedIn(away))).toEqual({ seeds: [1, 3], opens: true });
  const first = await guardNow(which, LIAR); // as it would be, had none of these lied
  expect(await tryToOpen(which, first, second, away)).toEqual({ seeds: [3], opens: false });
});
