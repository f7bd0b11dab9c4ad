import { existsSync, readdirSync, statSync } from 'node:fs';
import { cp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { vi } from 'vitest';
import { GuardStore } from '../../../daemon/ledger/guard-store.ts';
import { heldBy } from '../../../daemon/ledger/guarded.ts';
import type { KeptShare } from '../../../daemon/ledger/seed-share.ts';
import { constantTimeEqual } from '../../../primitives/bytes.ts';
import type { SubRecord } from '../../../protocol/sub-record.ts';
import { PATIENCE } from '../../harness/patience.ts';
import { scratchDirectory } from '../../harness/reaper.ts';
import { eventually } from './eventually.ts';
import type { World } from './world.ts';

interface Named {
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
}

/** What one guard has of a generation. */
export interface StolenGuard {
  /** With the seed, if there is one. */
  readonly subRecords: readonly SubRecord[];
  /** Of others' seeds. */
  readonly shares: readonly KeptShare[];
}

/** What a replica has of a generation in its guard, by one who copied the files of its disk: it serves on. */
export function stolenGuard(world: World, index: number, { rid, g }: Named): Promise<StolenGuard> {
  return inCopy(world, index, async (store) => {
    const held = heldBy(await store.read(rid)).filter(({ body }) => constantTimeEqual(body.g, g));
    const kept = await store.kept(rid);
    return { subRecords: held.map(({ subRecord }) => subRecord), shares: kept.filter((share) => constantTimeEqual(share.g, g)) };
  });
}

/** What replicas have of a generation in their guards, seeds included. In order of index. */
export async function stolenSubRecords(world: World, named: Named): Promise<SubRecord[]> {
  const found: SubRecord[] = [];
  for (const { index } of world.statement.replicas) found.push(...(await stolenGuard(world, index, named)).subRecords.slice(0, 1));
  return found;
}

/** Whether a secret lies in any file of a guard. A quarter of it is enough: LevelDB compresses, and may refer for some of its bytes to others. */
export async function liesInFiles(world: World, index: number, secret: Uint8Array): Promise<boolean> {
  const directory = join(world.replica(index).directory, 'guard');
  const files = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const contents = await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name)).catch(() => Buffer.alloc(0))));
  const quarters = [0, 8, 16, 24].map((from) => Buffer.from(secret.subarray(from, from + 8)));
  return contents.some((content) => quarters.some((quarter) => content.includes(quarter)));
}

/** Returns once all others have a share of every seed that this replica serves, or after a long time. */
export async function untilDealt(world: World, index: number): Promise<boolean> {
  const isDealt = () =>
    inCopy(world, index, async (store) => {
      for await (const _ of store.undealt()) return false;
      return true;
    });
  return eventually(true, isDealt);
}

/** Of a guard that may be open elsewhere: of its files as they are at some moment. */
async function inCopy<T>(world: World, index: number, look: (store: GuardStore) => Promise<T>): Promise<T> {
  const { fleet } = world.client;
  const incarnation = world.statement.replicas.find((replica) => replica.index === index)?.guardIncarnation ?? 0;
  return vi.waitFor(async () => {
    const copy = scratchDirectory('stolen-guard');
    try {
      await copyGuard(join(world.replica(index).directory, 'guard'), copy);
      const store = await GuardStore.open(copy, { fleet, replica: index, incarnation });
      try {
        return await look(store);
      } finally {
        await store.close();
      }
    } finally {
      await rm(copy, { recursive: true });
    }
  }, PATIENCE);
}

/** Throws where it began another file meanwhile. */
async function copyGuard(disk: string, copy: string): Promise<void> {
  const before = filesOf(disk);
  await cp(join(disk, 'mark'), join(copy, 'mark')); // first: it is never ahead of the store then
  await cp(join(disk, 'store'), join(copy, 'store'), { recursive: true });
  if (filesOf(disk) !== before) throw new Error('the guard began another file meanwhile');
}

/** Their names, and how much is written of which of them there are. */
function filesOf(disk: string): string {
  const store = join(disk, 'store');
  const names = readdirSync(store).sort();
  const written = names
    .filter((name) => name.startsWith('MANIFEST'))
    .map((name) => existsSync(join(store, name)) && statSync(join(store, name)).size);
  return [...names, ...written].join();
}
