import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { ClassicLevel } from 'classic-level';
import pLimit from 'p-limit';
import { patiently } from '../../cli/patience.ts';
import { Etcd } from '../../daemon/ledger/etcd.ts';
import { Guard } from '../../daemon/ledger/guard.ts';
import { GuardStore } from '../../daemon/ledger/guard-store.ts';
import type { Generation } from '../../daemon/ledger/guarded.ts';
import { Register } from '../../daemon/ledger/register.ts';
import type { KeptShare } from '../../daemon/ledger/seed-share.ts';
import { systemClock } from '../../primitives/clock.ts';
import { BodySchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type HashedBody, PROTOCOL_VERSION, parseBody } from '../../protocol/body.ts';
import { type EtcdCluster, startEtcd } from '../harness/etcd-cluster.ts';
import { etcdctlAt } from '../harness/etcdctl.ts';
import { scratchDirectory } from '../harness/reaper.ts';

/** What a record that was just enrolled takes on disks. */
export interface StorageResult {
  readonly records: number;
  readonly replicas: number;
  /** In the file of each member. */
  readonly etcdFileBytesPerRecord: number;
  /** In the files of one guard, with its shares of the others' seeds. */
  readonly guardBytesPerRecord: number;
}

const FLEET = 'harness';
const HOLDERS = [1, 2, 3];
const AT_ONCE = 64;

/** By the daemon's own code for both, of records that are as large as real ones: random where these are. */
export async function benchStorage(records: number): Promise<StorageResult> {
  return {
    records,
    replicas: HOLDERS.length,
    etcdFileBytesPerRecord: await benchEtcd(records),
    guardBytesPerRecord: await benchGuard(records),
  };
}

async function benchEtcd(records: number): Promise<number> {
  const cluster = await startEtcd({ members: 1 });
  const etcd = new Etcd({ endpoints: cluster.endpoints, tls: cluster.clientTls, prefix: `/bkv/${FLEET}/` });
  try {
    const register = new Register(etcd, 1, systemClock);
    await register.initialise({ holdsRecords: false, incarnation: 0 });
    const before = fileOf(cluster);
    await eachOf(records, () => {
      const hashed = newBody();
      return patiently(() => register.enrol(hashed, HOLDERS));
    });
    return (fileOf(cluster) - before) / records;
  } finally {
    etcd.close();
    await cluster.stop();
  }
}

/** Bytes of a member's file, once it is compacted and defragmented. */
function fileOf(cluster: EtcdCluster): number {
  const ask = (...args: string[]) => etcdctlAt(cluster, '--command-timeout', '60s', ...args);
  const status = () => JSON.parse(ask('endpoint', 'status', '--write-out', 'json'))[0].Status;
  ask('compaction', '--physical', `${status().header.revision}`);
  ask('defrag');
  return status().dbSize;
}

async function benchGuard(records: number): Promise<number> {
  const directory = join(scratchDirectory('bench-guard'), 'guard');
  const identity = { fleet: FLEET, replica: 1, incarnation: 1 };
  try {
    await GuardStore.create(directory, identity);
    const before = await filesOf(directory);
    const guard = new Guard(await GuardStore.open(directory, identity));
    await eachOf(records, () => keepOne(guard));
    await guard.close();
    return ((await filesOf(directory)) - before) / records;
  } finally {
    rmSync(join(directory, '..'), { recursive: true, force: true });
  }
}

/** As an enrolment leaves it: live, its seed dealt, with a share of each other one's. */
async function keepOne(guard: Guard): Promise<void> {
  const generation = newGeneration();
  const { body } = generation;
  await guard.prepare(
    body.rid,
    async () => generation,
    async () => undefined,
  );
  await guard.promote(body.rid, body.g, async () => HOLDERS.map((index) => ({ index, signature: bytes(64) })));
  for (const owner of HOLDERS.slice(1)) await guard.keep(body.rid, newShare(owner, generation));
  await guard.dealt(body.rid, body.g);
}

/** Bytes of all files of a guard that is closed, once its store is compacted. */
async function filesOf(directory: string): Promise<number> {
  const level = new ClassicLevel(join(directory, 'store'));
  await level.open();
  await level.compactRange('', '~');
  await level.close();
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((sum, file) => sum + statSync(join(file.parentPath, file.name)).size, 0);
}

async function eachOf(records: number, work: () => Promise<void>): Promise<void> {
  const limit = pLimit(AT_ONCE);
  await Promise.all(Array.from({ length: records }, () => limit(work)));
}

const bytes = (length: number): Uint8Array<ArrayBuffer> => Uint8Array.from(randomBytes(length));
const point = () => Uint8Array.of(2, ...bytes(32));
const enrolledAtMs = () => BigInt(systemClock.now());

function newBody(): HashedBody {
  const g = bytes(16);
  return parseBody(
    create(BodySchema, {
      ...{ version: PROTOCOL_VERSION, fleet: FLEET, epoch: 1n, rid: bytes(32), g, threshold: 2, policy: { limit: 10 } },
      shares: HOLDERS.map((index) => ({ index, x: 64 * index, mask: bytes(32), releaseMask: bytes(32) })),
      ...{ ownerKey: bytes(32), payload: bytes(60), number: 1n, line: g, proofKey: point(), releaseBase: point() },
    }),
  );
}

const newGeneration = (): Generation => ({
  ...newBody(),
  madeWith: bytes(8),
  subRecord: { index: 1, enrolledAtMs: enrolledAtMs(), seed: bytes(32), mac: bytes(32), signature: bytes(64) },
  prepared: [],
});

function newShare(owner: number, { body: { g, line, epoch, number } }: Generation): KeptShare {
  const sealed = { mac: bytes(32), signature: bytes(64), guard: 1 };
  return { owner, g, line, epoch, number, deal: bytes(12), share: bytes(33), enrolledAtMs: enrolledAtMs(), ...sealed };
}
