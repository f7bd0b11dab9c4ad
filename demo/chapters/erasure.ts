import { setTimeout as delay } from 'node:timers/promises';
import { GuardStore } from '../../daemon/ledger/guard-store.ts';
import type { Millis } from '../../primitives/brand.ts';
import { RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { DevReplica } from '../../test/harness/dev-fleet.ts';
import { check } from '../narrator.ts';
import { RECORD, type Story } from '../story.ts';

/** After the grace etcd has a tombstone, and no guard has a seed or a count: what it keeps, to show which record is over, opens nothing. */
export async function waitForErasure(story: Story, grace: Millis, sweep: Millis): Promise<void> {
  const { narrator, fleet, rid } = story;
  const { store } = fleet;
  const isMarked = await store.isExhausted(rid);
  const { state } = (await store.attempts(rid)) ?? {};
  check(isMarked || state === RecordState.ERASED, 'within the grace the record is there, and marked'); // on a slow machine that is over already
  await untilErased(story, grace + 10_000);
  check(!(await store.isExhausted(rid)), 'etcd has no mark any more');
  check((await store.attempts(rid))?.state === RecordState.ERASED, 'etcd has a tombstone');
  narrator.say(`After a grace of ${grace / 1000} s: the record is gone from etcd, a tombstone is in its place.`);

  await delay(2 * sweep); // a replica that was not told by the one that erased finds out for itself
  const guarded = await Promise.all(fleet.replicas.map((replica) => isGuarded(replica, rid)));
  check(!guarded.includes(true), 'no replica keeps a seed of the record, or a count');
  narrator.say('Stopped each replica and looked into its guard: no seed of the record is left, and nothing serves it.');
}

async function untilErased(story: Story, patience: Millis): Promise<void> {
  const deadline = performance.now() + patience;
  for (;;) {
    const { state } = await story.asNewApp(({ vault }) => vault.describe(RECORD));
    if (state === 'erased') return;
    check(performance.now() < deadline, 'the record is erased soon after the grace');
    await delay(250);
  }
}

/** One process at a time opens a guard, so that the replica stops for the look. */
async function isGuarded({ process, guardDirectory, guardIdentity }: DevReplica, rid: Uint8Array): Promise<boolean> {
  await process.stop();
  const guard = await GuardStore.open(guardDirectory, guardIdentity);
  const { live, prepared, counted } = await guard.read(rid);
  await guard.close();
  await process.start();
  return live !== undefined || prepared.length > 0 || counted.size > 0;
}
