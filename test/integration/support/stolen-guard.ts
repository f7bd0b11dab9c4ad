import { existsSync, readdirSync, statSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { vi } from 'vitest';
import { GuardStore } from '../../../daemon/ledger/guard-store.ts';
import { heldBy } from '../../../daemon/ledger/guarded.ts';
import { constantTimeEqual } from '../../../primitives/bytes.ts';
import type { SubRecord } from '../../../protocol/sub-record.ts';
import { PATIENCE } from '../../harness/patience.ts';
import { scratchDirectory } from '../../harness/reaper.ts';
import { eventually } from './eventually.ts';
import type { World } from './world.ts';

/** What replicas have of a generation in their guards, seeds included, by one who copied the files of their disks: they serve on. In order of index. */
export async function stolenSubRecords(
  world: World,
  { rid, g }: { readonly rid: Uint8Array; readonly g: Uint8Array },
): Promise<SubRecord[]> {
  const found: SubRecord[] = [];
  for (const { index } of world.statement.replicas) {
    const held = await inCopy(world, index, async (store) =>
      heldBy(await store.read(rid)).find(({ body }) => constantTimeEqual(body.g, g)),
    );
    if (held) found.push(held.subRecord);
  }
  return found;
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
