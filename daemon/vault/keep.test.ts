import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { VaultError } from '../../primitives/errors.ts';
import { type SeedShare, SeedShareSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { GiveBackRequestSchema, KeepRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { Guard } from '../ledger/guard.ts';
import { GuardStore } from '../ledger/guard-store.ts';
import { giveBack, keep } from './keep.ts';
import type { Vault } from './vault.ts';

// Replica 1 of three keeps shares of the seeds of 2 and 3. Who asks is known by the certificate.

const { statement } = new SoftFleet();
const fill = (n: number, length: number) => new Uint8Array(length).fill(n);
const rid = fill(7, 32);

let directory: string;
let guard: Guard;
/** The incarnation of each guard, by the statement. */
let incarnations: number[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'keeping-'));
  const identity = { fleet: 'test', replica: 1, incarnation: 1 };
  await GuardStore.create(join(directory, 'guard'), identity);
  guard = new Guard(await GuardStore.open(join(directory, 'guard'), identity));
  incarnations = [1, 1, 1];
});

afterEach(async () => {
  await guard.close();
  await rm(directory, { recursive: true });
});

function vault(): Vault {
  const replicas = statement.replicas.map((replica, i) => ({ ...replica, guardIncarnation: incarnations[i] as number }));
  return { statement: { ...statement, replicas }, self: replicas[0], guard } as unknown as Vault;
}

const share = (fields: Partial<SeedShare> = {}) =>
  create(SeedShareSchema, {
    ...{ g: fill(1, 16), line: fill(1, 16), epoch: 1n, number: 1n, deal: fill(0, 12), share: fill(5, 33), enrolledAtMs: 1n },
    ...{ mac: fill(0, 32), signature: fill(0, 64), guard: 1, ...fields },
  });

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ACCEPTED',
    (error: unknown) => (error as VaultError).code,
  );
const keeping = (owner: number, fields: Partial<SeedShare> = {}, epoch = 1n) =>
  codeOf(keep(vault(), owner, create(KeepRequestSchema, { rid, epoch, share: share(fields) })));
const back = async (owner: number, of = rid) =>
  (await giveBack(vault(), owner, create(GiveBackRequestSchema, { rid: of, epoch: 1n }))).shares.map((each) => each.share[0]);

it('gives shares back to whom they are of, once the statement says that its guard was lost', async () => {
  await keeping(2, { share: fill(2, 33) });
  await keeping(3, { share: fill(3, 33) });
  for (const owner of [1, 2, 3]) expect(await back(owner)).toEqual([]);
  incarnations = [1, 2, 1];
  expect(await back(2)).toEqual([2]);
  expect(await back(2, fill(6, 32))).toEqual([]);
  for (const other of [1, 3]) expect(await back(other)).toEqual([]);
});

it('gives none back once the new guard dealt anew, until that is lost, too', async () => {
  await keeping(2, { share: fill(2, 33) });
  incarnations = [1, 2, 1];
  expect(await keeping(2, { share: fill(4, 33), deal: fill(1, 12) })).toBe('ACCEPTED');
  expect(await back(2)).toEqual([]);
  incarnations = [1, 3, 1];
  expect(await back(2)).toEqual([4]);
});

it('goes by the statement, and not by what whoever deals says of its guard', async () => {
  for (const said of [0, 1, 7]) {
    await keeping(2, { guard: said });
    expect(await back(2)).toEqual([]);
  }
  await keeping(2, { guard: 7 });
  incarnations = [1, 2, 1];
  expect(await back(2)).toEqual([5]);
});

it('takes no part in what it cannot serve', async () => {
  expect(await keeping(1)).toBe('MALFORMED'); // of its own seed
  expect(await keeping(4)).toBe('CALLER_UNKNOWN');
  expect(await codeOf(back(4))).toBe('CALLER_UNKNOWN');
  expect(await keeping(2, {}, 2n)).toBe('STATEMENT_MISMATCH');
  expect(await codeOf(giveBack(vault(), 2, create(GiveBackRequestSchema, { rid, epoch: 2n })))).toBe('STATEMENT_MISMATCH');
  expect(await codeOf(back(2, rid.slice(1)))).toBe('MALFORMED');
  expect(await codeOf(keep(vault(), 2, create(KeepRequestSchema, { rid: rid.slice(1), epoch: 1n, share: share() })))).toBe('MALFORMED');
  expect(await codeOf(keep(vault(), 2, create(KeepRequestSchema, { rid, epoch: 1n })))).toBe('MALFORMED');
  expect(await guard.kept(rid)).toEqual([]);
});
