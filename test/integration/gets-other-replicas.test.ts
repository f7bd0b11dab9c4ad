import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packageRoot } from '../../primitives/package-root.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { restoreSnapshot, saveSnapshot } from '../harness/etcd-snapshot.ts';
import { placesOf } from './support/counted-fleet.ts';
import { CODE } from './support/draft.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';
import { World } from './support/world.ts';

// The operator's procedure of docs/OPERATIONS.md, "Add a replica, or take one away", with a live fleet: 3 → 5 → 3, then another one.

let own: OwnFleet;

const policy = { limit: 60, coolDownMs: 0 };
const keys = Object.fromEntries(['of-three', 'of-five', 'of-three-again'].map((id) => [id, new SecretBytes(randomBytes(32))]));

/** A device that trusts every statement until now. `via`: the position of the only replica that it reaches. */
async function withDevice<T>(work: (vault: ReturnType<World['device']>) => Promise<T>, via?: number): Promise<T> {
  const world = await World.open(placesOf(own.fleet));
  const { addresses } = world.client;
  try {
    return await work(
      world.device(world.transport({ ...world.client, addresses: via === undefined ? addresses : [addresses[via] as string] })),
    );
  } finally {
    world.close();
  }
}

const enrol = (recordId: string) =>
  withDevice((vault) => vault.enroll({ recordId, code: CODE, backupKey: keys[recordId] as SecretBytes, policy }));

async function expectOpens(recordIds: readonly string[], via?: number): Promise<void> {
  for (const recordId of recordIds) {
    const recovered = await withDevice((vault) => vault.recover({ recordId, code: CODE, renew: false }), via);
    expect(recovered.backupKey.expose(), recordId).toEqual(keys[recordId]?.expose());
  }
}

const refusal = (recordId: string, code = CODE) => withDevice((vault) => refusalOf(vault.recover({ recordId, code, renew: false })));
const attemptsOf = (recordId: string) => withDevice(async (vault) => (await vault.describe(recordId)).attemptsUsed);

beforeAll(async () => {
  own = await startOwnFleet({ settings: { erase_grace_ms: 3_600_000, bounds: { limit_most: 60 } } });
  await enrol('of-three');
});

afterAll(() => own?.stop());

test('two replicas join three: what was enrolled before opens with two, what is enrolled now takes three', async () => {
  await own.fleet.restate({ joining: [4, 5] });
  expect(own.fleet.statement).toMatchObject({ epoch: 2, threshold: 3 });
  await expectOpens(['of-three']);
  await expectOpens(['of-three'], 4); // replica 5 has no share of it
  expect(await enrol('of-five')).toMatchObject({ holders: [1, 2, 3, 4, 5], threshold: 3 });
  await Promise.all([3, 4, 5].map((index) => own.fleet.replica(index).process.stop()));
  await expectOpens(['of-three']);
  expect(await refusal('of-five')).toBe('NOT_ENOUGH_REPLICAS');
  await Promise.all([3, 4, 5].map((index) => own.fleet.replica(index).process.start()));
  await expectOpens(['of-three', 'of-five']);
});

test('they leave: what five hold still takes three, and is described so', async () => {
  await own.fleet.restate({ leaving: [4, 5] });
  expect(own.fleet.statement).toMatchObject({ epoch: 3, threshold: 2 });
  await expectOpens(['of-three', 'of-five']);
  expect(await withDevice((vault) => vault.describe('of-five'))).toMatchObject({ threshold: 3, replicas: 3 });
  expect(await enrol('of-three-again')).toMatchObject({ holders: [1, 2, 3], threshold: 2 });
  await own.fleet.replica(3).process.stop();
  await expectOpens(['of-three', 'of-three-again']);
  expect(await refusal('of-five')).toBe('NOT_ENOUGH_REPLICAS');
  await own.fleet.replica(3).process.start();
  await expectOpens(['of-three', 'of-five', 'of-three-again']);
});

test('a restore of etcd brings back each record as its own epoch has it', async () => {
  const snapshot = join(own.fleet.directory, 'snapshot.db');
  saveSnapshot(own.fleet.etcd, snapshot);
  for (const recordId of Object.keys(keys)) expect(await refusal(recordId, 'wrong code 1')).toBe('WRONG_CODE');
  const counted = await Promise.all(Object.keys(keys).map(attemptsOf));
  await Promise.all(own.fleet.replicas.map(({ process }) => process.stop()));
  await restoreSnapshot(own.fleet.etcd, snapshot);
  await own.fleet.restate({ storeRestored: true });
  expect(await Promise.all(Object.keys(keys).map(attemptsOf))).toEqual(counted);
  await expectOpens(Object.keys(keys));
});

test('another one joins, under an index that nobody had; it coordinates for all, and those enrolled before hold', async () => {
  const restate = (...args: string[]) =>
    execFileSync(process.execPath, [join(packageRoot, 'dist/cli/main.js'), 'fleet', 'restate', '--dir', own.fleet.directory, ...args]);
  expect(() => restate('--add-replica', '4=7999')).toThrow(/never given again/);
  expect(() => restate('--remove-replica', '3')).toThrow(/3 to 9 replicas/);
  await own.fleet.restate({ joining: [6] });
  expect(own.fleet.statement.replicas.map(({ index }) => index)).toEqual([1, 2, 3, 6]);
  await expectOpens(Object.keys(keys), 3);
});

test('of an epoch that is ended nothing is served, and nothing is spent', async () => {
  const before = await attemptsOf('of-five');
  await own.fleet.restate({ ended: [2] });
  expect(await refusal('of-five')).toBe('GENERATION_UNKNOWN');
  expect(await attemptsOf('of-five')).toBe(before);
  await expectOpens(['of-three', 'of-three-again']);
  await withDevice((vault) => vault.erase('of-five'));
  expect(await withDevice((vault) => vault.describe('of-five'))).toMatchObject({ state: 'erased' });
});
