import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { randomBytes } from '@noble/hashes/utils.js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { storedGeneration } from '../../daemon/vault/stored-generation.ts';
import { packageRoot } from '../../primitives/package-root.ts';
import { SecretBytes } from '../../primitives/secret-bytes.ts';
import type { HashedBody } from '../../protocol/body.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { parseStatement } from '../../protocol/statement.ts';
import type { SubRecord } from '../../protocol/sub-record.ts';
import { placesOf } from './support/counted-fleet.ts';
import { CODE } from './support/draft.ts';
import { type OwnFleet, startOwnFleet } from './support/own-fleet.ts';
import { refusalOf } from './support/refusals.ts';
import { stolenSubRecords } from './support/stolen-guard.ts';
import { openStolenToken } from './support/stolen-token.ts';
import { World } from './support/world.ts';

// The operator's procedure of docs/OPERATIONS.md, "Rotate keys", step by step.

let own: OwnFleet;
/** Alice's record as a backup of replica 1's guard had it under epoch 1. */
let old: HashedBody & { readonly subRecord: SubRecord };

const policy = { limit: 9, coolDownMs: 0 };
const backupKeys = Object.fromEntries(['alice', 'bob', 'carol'].map((id) => [id, new SecretBytes(randomBytes(32))]));
const keyOf = (id: string) => backupKeys[id] as SecretBytes;

interface Printed {
  readonly [name: string]: unknown;
  readonly error?: { readonly code: string; readonly message: string };
}

async function bkvctl(index: number, ...args: string[]): Promise<Printed> {
  const { place } = own.fleet.replica(index);
  const env = { ...process.env, SOFTHSM2_CONF: join(place.directory, 'softhsm2.conf') };
  const program = [join(packageRoot, 'dist/cli/main.js'), '--json', ...args];
  const { stdout } = await promisify(execFile)(process.execPath, program, { env }).catch((error: { stdout: string }) => error);
  return JSON.parse(stdout);
}

const keys = (index: number, command: string, ...args: string[]) =>
  bkvctl(index, 'keys', command, '--config', own.fleet.replica(index).place.config, ...args);

/** A device that trusts every statement until now. `via` is the replica that it reaches, any unless told. */
async function withDevice<T>(work: (vault: ReturnType<World['device']>) => Promise<T>, via?: number): Promise<T> {
  const world = await World.open(placesOf(own.fleet));
  const { addresses } = world.client;
  try {
    return await work(world.device(world.transport({ ...world.client, addresses: via ? [addresses[via - 1] as string] : addresses })));
  } finally {
    world.close();
  }
}

const expectRecovers = (recordId: string, { renew = false, via }: { renew?: boolean; via?: number } = {}) =>
  withDevice(async (vault) => {
    const recovered = await vault.recover({ recordId, code: CODE, renew });
    expect(recovered.backupKey.expose()).toEqual(keyOf(recordId).expose());
    return recovered;
  }, via);

async function stopped<T>(index: number, work: () => Promise<T>): Promise<T> {
  await own.fleet.replica(index).process.stop();
  try {
    return await work();
  } finally {
    await own.fleet.replica(index).process.start();
  }
}

const epochOf = async (recordId: string) => (await own.fleet.store.attempts(own.fleet.rid(recordId)))?.epoch;

beforeAll(async () => {
  own = await startOwnFleet({ settings: { erase_grace_ms: 3_600_000 } });
  for (const [recordId, backupKey] of Object.entries(backupKeys))
    await own.world.device().enroll({ recordId, code: CODE, backupKey, policy });
  const committed = await own.world.committed(own.fleet.rid('alice'));
  const [subRecord] = await stolenSubRecords(own.world, committed.body);
  old = { ...committed, subRecord: subRecord as SubRecord };
});

afterAll(() => own?.stop());

test('keys for the next epoch are made while all replicas serve, which take no notice', async () => {
  const before = own.fleet.statement.document;
  expect(await bkvctl(1, 'fleet', 'restate', '--dir', own.fleet.directory, '--rotate-keys')).toMatchObject({ epoch: 2 });
  const { document } = parseStatement(readFileSync(join(own.fleet.directory, 'statement.json')));
  for (const [i, replica] of document.replicas.entries()) {
    expect(replica.receipt_key).toBe(before.replicas[i]?.receipt_key);
    expect(replica.oprf_key).not.toBe(before.replicas[i]?.oprf_key);
    expect(replica.release_key).not.toBe(before.replicas[i]?.release_key);
    for (const name of ['oprf', 'release', 'mac']) expect(replica.key_attributes[name]?.label).toBe(`bkv/harness/${i + 1}/${name}/2`);
    expect(replica.key_attributes.receipt?.label).toBe(`bkv/harness/${i + 1}/receipt`);
  }
  await expectRecovers('alice');
  expect(await keys(1, 'rotate', '--epoch', '1')).toMatchObject({ error: { code: 'CONFIG_INVALID' } });
});

test('replicas change over one by one, and people recover in between', async () => {
  // Replicas of different epochs do not vote for each other: while one is alone, people are sent to the others.
  for (const [index, via] of [
    [1, 3],
    [2, 1],
    [3, 2],
  ] as const) {
    await stopped(index, async () => {});
    await expectRecovers('alice', { via });
  }
  expect(own.fleet.replica(1).process.logTail(50)).toContain('"keySets":[1,2]');
  expect(await epochOf('alice')).toBe(1n);
});

test('a new enrolment is of the new keys, and the old ones are listed with what needs them', async () => {
  const { renewal } = await expectRecovers('alice', { renew: true });
  expect(renewal).toMatchObject({ state: 'renewed', result: { epoch: 2, holders: [1, 2, 3] } });
  expect(await epochOf('alice')).toBe(2n);
  await expectRecovers('alice');
  expect(await keys(1, 'list')).toMatchObject({
    guard_not_read: expect.any(String),
    sets: [{ needed: { etcd: 2 } }, { needed: { etcd: 1 } }],
  });
  const sets = [
    { set: 1, state: 'older', keys: 'all', needed: { live: 2, prepared: 0, etcd: 2 } },
    { set: 2, state: 'in force', keys: 'all', needed: { live: 1, prepared: 0, etcd: 1 } },
  ];
  expect(await stopped(1, () => keys(1, 'list'))).toEqual({ replica: 1, epoch: 2, sets, lost: { live: 0, prepared: 0, etcd: 0 } });
});

test('old keys are not destroyed while a record needs them, unless exactly so many are given up', async () => {
  expect(await readOld()).toBe('evaluated');
  expect(await keys(1, 'destroy', '--epoch', '2')).toMatchObject({ error: { code: 'GUARD_MISMATCH' } }); // it runs
  await stopped(1, async () => {
    const refused = await keys(1, 'destroy', '--epoch', '2');
    expect(refused).toMatchObject({ error: { code: 'CONFIG_INVALID', message: expect.stringContaining('epoch 2: 2;') } });
    expect(await keys(1, 'destroy', '--epoch', '2', '--abandon', '1')).toMatchObject({ error: { code: 'CONFIG_INVALID' } });
    expect(await keys(1, 'destroy', '--epoch', '2', '--abandon', '3')).toMatchObject({ error: { code: 'CONFIG_INVALID' } });
    expect(await keys(1, 'destroy', '--epoch', '3')).toMatchObject({ error: { code: 'CONFIG_INVALID' } });
    expect(await keys(1, 'destroy', '--epoch', '1')).toMatchObject({ destroyed: [] });
    expect(await keys(1, 'list')).toMatchObject({
      sets: [
        { set: 1, keys: 'all' },
        { set: 2, keys: 'all' },
      ],
    });
  });
  await expectRecovers('bob', { renew: true });
  await stopped(1, async () => {
    expect(await keys(1, 'destroy', '--epoch', '2')).toMatchObject({ error: { message: expect.stringContaining('epoch 2: 1;') } });
    expect(await keys(1, 'destroy', '--epoch', '2', '--abandon', '1')).toMatchObject({ destroyed: [1], keystore: 'host-blob' });
    expect(await keys(1, 'list')).toMatchObject({ sets: [{ set: 2, needed: { live: 2, etcd: 2 } }], lost: { live: 1, etcd: 1 } });
    expect(await keys(1, 'destroy', '--epoch', '2')).toMatchObject({ destroyed: [] }); // again: there is nothing to do
  });
  for (const recordId of ['alice', 'bob', 'carol']) await expectRecovers(recordId); // Carol by the other two
});

test('what was stored under destroyed keys is read by nobody, from whatever backup', async () => {
  expect(await readOld()).toBe('KEY_MISSING');
  await stopped(2, () => keys(2, 'destroy', '--epoch', '2', '--abandon', '1'));
  expect(await withDevice((vault) => refusalOf(vault.recover({ recordId: 'carol', code: CODE })))).toBe('KEY_MISSING');
  await withDevice((vault) => vault.enroll({ recordId: 'carol', code: CODE, backupKey: keyOf('carol'), policy }));
  await expectRecovers('carol');
  expect(await stopped(3, () => keys(3, 'destroy', '--epoch', '2'))).toMatchObject({ destroyed: [1] });
  for (const recordId of ['alice', 'bob', 'carol']) await expectRecovers(recordId);
});

/** Replica 1's part of Alice's old record, evaluated with its token and its PIN. */
async function readOld(): Promise<string> {
  const world = await World.open(placesOf(own.fleet));
  const token = await openStolenToken(world, 1);
  try {
    expect(old.subRecord.index).toBe(1);
    const request = {
      generation: storedGeneration(old),
      point: old.body.releaseBase as CompressedPoint,
      attempt: 1,
      limit: policy.limit,
      used: 1,
    };
    return await token.evaluate(request).then(
      () => 'evaluated',
      (error: { code: string }) => error.code,
    );
  } finally {
    await token.close();
    world.close();
  }
}
