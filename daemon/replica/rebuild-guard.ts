import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import type { Clock } from '../../primitives/clock.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { RecallRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import { parseSubRecord } from '../../protocol/sub-record.ts';
import type { GuardStore } from '../ledger/guard-store.ts';
import type { Guarded } from '../ledger/guarded.ts';
import { generationsServed, remember, type Stored } from '../ledger/reconcile.ts';
import type { Register } from '../ledger/register.ts';
import { askAll, expectEnough } from './fan-out.ts';
import type { Participant } from './participant.ts';
import { parseRecalled } from './reconcile.ts';

const RECALL_GRACE: Millis = 500;
const PAGE = 100;

export interface RebuildOptions {
  /** This replica, whose guard was lost. */
  readonly index: number;
  /** Of the statement that names the new guard. The others must serve under it already. */
  readonly epoch: bigint;
  readonly store: GuardStore;
  readonly register: Register;
  /** The others. */
  readonly peers: readonly Participant[];
  /** n−t+1: any t guards that counted an attempt have one among so many. */
  readonly needed: number;
  readonly threshold: number;
  readonly clock: Clock;
}

/**
 * Fills the new guard of a replica that lost its own, from what the others remember: every attempt that one of them counted counts
 * here too, and those whose point is not known are burnt. What etcd has from before a restore is reconciled with the others first.
 * Returns how many records this replica serves again, and of how many it cannot: fewer than n−t+1 others serve them, or its
 * share of them is not in etcd. Throws NOT_ENOUGH_REPLICAS; then it may be run again.
 */
export async function rebuildGuard(options: RebuildOptions): Promise<{ rebuilt: number; left: number }> {
  const { register } = options;
  const count = { rebuilt: 0, left: 0 };
  let page: Uint8Array[];
  let after: Uint8Array | undefined;
  do {
    page = await register.rids(PAGE, after);
    after = page.at(-1);
    for (const rid of page) count[(await rebuildRecord(rid, options)) ? 'rebuilt' : 'left']++;
  } while (page.length === PAGE);
  return count;
}

async function rebuildRecord(rid: Uint8Array, options: RebuildOptions): Promise<boolean> {
  const { index, needed, store, clock } = options;
  const { record } = (await readReconciled(rid, options)) ?? {};
  const stored = record?.subRecords.find((each) => each.index === index);
  if (!stored) return false;
  const subRecord = parseSubRecord(stored);
  const recalled = await recallFromPeers(rid, options);
  const [generation] = generationsServed(recalled);
  if (!generation || !constantTimeEqual(generation.body.g, record?.body?.g ?? new Uint8Array(0))) return false;
  const { servers, points } = remember(generation, recalled);
  if (servers.length < needed) return false; // another one of them may have lost, with its guard, what this one counted with it
  const { live } = await store.read(rid);
  if (!live) await store.restore({ ...generation, subRecord }, points, clock.now()); // else a run was interrupted
  return true;
}

async function recallFromPeers(rid: Uint8Array, { epoch, peers, needed, clock }: RebuildOptions): Promise<Guarded[]> {
  const request = create(RecallRequestSchema, { rid, epoch });
  const ask = async ({ calls, index }: Participant) => parseRecalled(await calls.recall(request), index);
  return expectEnough(await askAll(peers, ask, { enough: needed, grace: RECALL_GRACE, clock }), needed, peers.length);
}

/** Undefined where all others together cannot tell which enrolment stands. */
async function readReconciled(rid: Uint8Array, options: RebuildOptions): Promise<Stored | undefined> {
  const { register, peers, threshold } = options;
  try {
    return await register.read(rid);
  } catch (error) {
    if (!isVaultError(error, 'RECORD_OUTDATED')) throw error;
  }
  const recalled = await recallFromPeers(rid, options);
  try {
    await register.reconcile(rid, recalled, { threshold, isComplete: false }); // the guard that was lost might have said more
  } catch (error) {
    if (isVaultError(error, 'NOT_ENOUGH_REPLICAS') && recalled.length === peers.length) return undefined;
    throw error;
  }
  return register.read(rid);
}
