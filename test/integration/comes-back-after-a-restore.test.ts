import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { memoryBlindStore } from '../../client/blinds.ts';
import type { ErasureResult } from '../../client/erase.ts';
import { utf8 } from '../../primitives/bytes.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import { KeepListRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { restoreSnapshot, saveSnapshot } from '../harness/etcd-snapshot.ts';
import { placesOf } from './support/counted-fleet.ts';
import { CODE } from './support/draft.ts';
import { eventually } from './support/eventually.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';
import { untilDealt } from './support/stolen-guard.ts';
import { World } from './support/world.ts';

// The operator's procedures of docs/OPERATIONS.md, "etcd was restored" and "A guard is lost", step by step.

let own: OwnFleet;
let snapshot: string;

const OTHER_CODE = 'another code altogether';
const policy = { limit: 3, coolDownMs: 0 };
const keys = Object.fromEntries(['attempts', 'changed', 'later', 'erased', 'phished'].map((id) => [id, new SecretBytes(randomBytes(32))]));
/** Of whoever phished a code: each proof of theirs is the same. */
const phishers = memoryBlindStore();
const keyOf = (id: string) => keys[id] as SecretBytes;

const bkvctl = (...args: string[]): string => execFileSync(process.execPath, [join(packageRoot, 'dist/cli/main.js'), ...args]).toString();

/** Beside its token, which tells the right seeds. */
function rebuildGuard(index: number): { rebuilt: number; left: number } {
  const { config, directory } = own.fleet.replica(index).place;
  const env = { ...process.env, SOFTHSM2_CONF: join(directory, 'softhsm2.conf') };
  const args = [join(packageRoot, 'dist/cli/main.js'), '--json', 'guard', 'rebuild', '--config', config];
  return JSON.parse(execFileSync(process.execPath, args, { env }).toString());
}

/** The others have what it takes to give replica `index` its seeds back. */
async function expectDealt(index: number): Promise<void> {
  const { world } = await device();
  expect(await untilDealt(world, index)).toBe(true);
  world.close();
}
const stopAll = () => Promise.all(own.fleet.replicas.map(({ process }) => process.stop()));
const startAll = () => Promise.all(own.fleet.replicas.map(({ process }) => process.start()));

/** A device that trusts the statement of now. */
async function device() {
  const world = await World.open(placesOf(own.fleet));
  return { vault: world.device(), world };
}

const recover = async (recordId: string, code: string) => {
  const { vault, world } = await device();
  try {
    return await vault.recover({ recordId, code, renew: false });
  } finally {
    world.close();
  }
};

const describe = async (recordId: string) => {
  const { vault, world } = await device();
  try {
    return await vault.describe(recordId);
  } finally {
    world.close();
  }
};

/** What a phisher gets, who has the code and sends the same proof as ever. */
async function phished(): Promise<string> {
  const world = await World.open(placesOf(own.fleet));
  try {
    return await refusalOf(world.device(world.transport(), phishers).recover({ recordId: 'phished', code: CODE, renew: false }));
  } finally {
    world.close();
  }
}

/** By another device of the owner. */
async function vetoed(): Promise<string> {
  const { vault, world } = await device();
  try {
    const { held } = await vault.describe('phished');
    return (await vault.veto({ recordId: 'phished', backupKey: keyOf('phished'), held: held[0] as (typeof held)[number] })).isFinal;
  } finally {
    world.close();
  }
}

/** Who keeps the list that was put beside the record. */
async function beside(recordId: string): Promise<number[]> {
  const { vault, world } = await device();
  const { g } = await vault.describe(recordId);
  const request = create(KeepListRequestSchema, { rid: world.rid(recordId), g, epoch: BigInt(world.statement.epoch) });
  const has = async (index: number) => (await world.peer(index, world.replica(1).tls).calls.keepList(request)).listed?.list?.counter === 1n;
  const found: number[] = [];
  for (const index of [1, 2]) if (await has(index)) found.push(index);
  world.close();
  return found;
}

/** Replicas that serve it no more. */
const gone = ({ erased, pending }: ErasureResult) => [...erased, ...pending].sort().join();

/** What is said of the record whose attempts are spent, once the replicas that are up have connected to one another. */
const exhausted = () => eventually('EXHAUSTED', () => refusalOf(recover('attempts', 'wrong code 5')));

beforeAll(async () => {
  own = await startOwnFleet({ settings: { erase_grace_ms: 3_600_000, sweep_interval_ms: 500 } }); // at each, seeds are shared
  snapshot = join(own.fleet.directory, 'snapshot.db');
  const vault = own.world.device();
  for (const recordId of ['attempts', 'changed', 'erased'])
    await vault.enroll({
      recordId,
      code: CODE,
      backupKey: keyOf(recordId),
      policy: recordId === 'attempts' ? { ...policy, limit: 4 } : policy,
    });
  await vault.enroll({ recordId: 'phished', code: CODE, backupKey: keyOf('phished'), policy: { ...policy, holdMs: 3_600_000 } });
  saveSnapshot(own.fleet.etcd, snapshot);
  // What the snapshot does not know:
  expect(await refusalOf(vault.recover({ recordId: 'attempts', code: 'wrong code 1' }))).toBe('WRONG_CODE');
  expect(await refusalOf(vault.recover({ recordId: 'attempts', code: 'wrong code 2' }))).toBe('WRONG_CODE');
  await vault.enroll({ recordId: 'changed', code: OTHER_CODE, backupKey: keyOf('changed'), policy });
  await vault.enroll({ recordId: 'later', code: CODE, backupKey: keyOf('later'), policy: { ...policy, limit: 4 } });
  await vault.erase('erased');
  await vault.putList({ recordId: 'phished', backupKey: keyOf('phished'), content: utf8('a door'), counter: 1n });
  expect(await phished()).toBe('HELD');
  expect(await eventually('final', vetoed)).toBe('final');
  await stopAll();
  await restoreSnapshot(own.fleet.etcd, snapshot);
});

afterAll(() => own?.stop());

test('a snapshot put back without telling the replicas buys no guess and revives no code', async () => {
  await startAll();
  expect((await describe('attempts')).attemptsUsed).toBe(0); // so etcd says
  expect(await refusalOf(recover('attempts', 'wrong code 3'))).toBe('WRONG_CODE');
  expect((await describe('attempts')).attemptsUsed).toBe(3); // as the guards counted
  for (const recordId of ['changed', 'erased']) expect(await refusalOf(recover(recordId, CODE))).toBe('GENERATION_UNKNOWN'); // nobody has what etcd names
  expect(await refusalOf(recover('later', CODE))).toBe('RECORD_UNKNOWN');
  expect(await phished()).toBe('VETOED');
  await stopAll();
});

test('a replica that was told does not serve beside one that was not', async () => {
  await Promise.all([2, 3].map((index) => own.fleet.replica(index).process.start()));
  bkvctl('fleet', 'restate', '--dir', own.fleet.directory, '--store-restored');
  await own.fleet.replica(1).process.start();
  // 1 has put its incarnation in force. 2 and 3 are under the statement from before, as their devices are, and no majority serves.
  expect(await refusalOf(own.world.device().recover({ recordId: 'attempts', code: 'wrong code 3' }))).toMatch(
    /^(STORE_UNAVAILABLE|NOT_ENOUGH_REPLICAS)$/,
  );
  expect(await refusalOf(recover('attempts', 'wrong code 3'))).not.toMatch(/^(WRONG_CODE|ACCEPTED)$/);
  await Promise.all([2, 3].map((index) => own.fleet.replica(index).process.stop()));
  await Promise.all([2, 3].map((index) => own.fleet.replica(index).process.start()));
});

test('after the statement that says so, every record is what it was', async () => {
  expect(await describe('attempts')).toMatchObject({ state: 'live', attemptsUsed: 3, holders: [1, 2, 3] });
  const recovered = await recover('attempts', CODE);
  expect(recovered.backupKey.expose()).toEqual(keyOf('attempts').expose());
  expect(recovered.attempt).toBe(4);

  expect(await refusalOf(recover('changed', CODE))).toBe('WRONG_CODE');
  expect((await recover('changed', OTHER_CODE)).backupKey.expose()).toEqual(keyOf('changed').expose());
  expect((await recover('later', CODE)).backupKey.expose()).toEqual(keyOf('later').expose());
  expect((await describe('erased')).state).toBe('erased');
  expect(await phished()).toBe('VETOED');
});

test('an account that nobody knew before enrols as ever, with every replica', async () => {
  const { vault, world } = await device();
  const { holders } = await vault.enroll({ recordId: 'new', code: CODE, backupKey: keyOf('later'), policy });
  world.close();
  expect(holders).toEqual([1, 2, 3]);
});

test('the limit holds across the restore', async () => {
  expect(await refusalOf(recover('attempts', 'wrong code 4'))).toBe('EXHAUSTED');
});

test('even the loss of all of etcd is made good from the replicas’ own stores', async () => {
  await stopAll();
  const { members, dataDirectories } = own.fleet.etcd;
  await Promise.all(members.map((member) => member.stop()));
  for (const directory of dataDirectories) rmSync(directory, { recursive: true });
  await Promise.all(members.map((member) => member.start()));

  const [first] = own.fleet.replicas;
  await first?.process.launch();
  await first?.process.exited();
  expect(first?.process.logTail(2)).toContain('STORE_CORRUPT');

  bkvctl('fleet', 'restate', '--dir', own.fleet.directory, '--store-restored');
  await startAll();
  expect((await recover('later', CODE)).backupKey.expose()).toEqual(keyOf('later').expose());
  expect(await refusalOf(recover('attempts', 'wrong code 4'))).toBe('EXHAUSTED');
  expect((await recover('changed', OTHER_CODE)).attempt).toBe(3); // one wrong, two right
});

test('a lost guard is rebuilt from the others', async () => {
  await expectDealt(2);
  const lost = own.fleet.replica(2);
  const config = lost.place.config;
  await lost.process.stop();
  rmSync(lost.guardDirectory, { recursive: true });
  await lost.process.launch();
  await lost.process.exited();
  expect(lost.process.logTail(2)).toContain('GUARD_MISSING');

  bkvctl('guard', 'create', '--config', config);
  await lost.process.launch();
  await lost.process.exited();
  expect(lost.process.logTail(2)).toContain('GUARD_MISMATCH'); // nothing says yet that its guard may begin anew

  await stopAll();
  rmSync(lost.guardDirectory, { recursive: true });
  bkvctl('fleet', 'restate', '--dir', own.fleet.directory, '--guard-lost', '2');
  bkvctl('guard', 'create', '--config', config);
  await Promise.all([1, 3].map((index) => own.fleet.replica(index).process.start()));
  expect(rebuildGuard(2).rebuilt).toBe(5); // attempts, changed, later, new, phished
  await lost.process.start();

  await own.fleet.replica(3).process.kill(); // now it is needed
  expect(await exhausted()).toBe('EXHAUSTED');
  expect((await recover('later', CODE)).backupKey.expose()).toEqual(keyOf('later').expose());
  expect(await phished()).toBe('VETOED'); // so both say: 2 took it over
  expect(await beside('phished')).toEqual([1, 2]);
});

test('a guard that is lost together with etcd is rebuilt in one go', async () => {
  await own.fleet.replica(3).process.start();
  const { vault, world } = await device();
  // The others may take a second to connect to it again.
  expect(await eventually('1,2,3', async () => gone(await vault.erase('new')))).toBe('1,2,3');
  world.close();
  await expectDealt(2); // what it has since it was rebuilt
  await stopAll();
  rmSync(own.fleet.replica(2).guardDirectory, { recursive: true });
  bkvctl('fleet', 'restate', '--dir', own.fleet.directory, '--store-restored', '--guard-lost', '2');
  const { config } = own.fleet.replica(2).place;
  bkvctl('guard', 'create', '--config', config);
  await Promise.all([1, 3].map((index) => own.fleet.replica(index).process.start()));
  // The tombstone of "new" is of the incarnation before: no guard holds that record, so no sweep touches it.
  expect(rebuildGuard(2)).toMatchObject({ rebuilt: 4, left: 1 });

  await own.fleet.replica(2).process.start();
  await own.fleet.replica(3).process.kill();
  expect(await exhausted()).toBe('EXHAUSTED');
  const recovered = await recover('later', CODE);
  expect(recovered.backupKey.expose()).toEqual(keyOf('later').expose());
  expect(recovered.attempt).toBe(4); // its third was counted by the guards of 1 and 2 alone
  expect(await phished()).toBe('VETOED');
});
