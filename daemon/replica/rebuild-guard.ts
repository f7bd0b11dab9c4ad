import { constantTimeEqual } from '../../primitives/bytes.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { parseSubRecord } from '../../protocol/sub-record.ts';
import { meeting } from '../../protocol/terms.ts';
import type { GuardStore } from '../ledger/guard-store.ts';
import { generationsServed, isAgreed, remember, type Stored } from '../ledger/reconcile.ts';
import { allOf, type Register } from '../ledger/register.ts';
import type { Participant } from './participant.ts';
import { type Recalling, recallFrom } from './reconcile.ts';

export interface RebuildOptions extends Omit<Recalling, 'least'> {
  /** This replica, whose guard was lost. `statement` names the new guard, and the others must serve under it already. */
  readonly index: number;
  readonly store: GuardStore;
  readonly register: Register;
  /** The others. */
  readonly peers: readonly Participant[];
}

/**
 * Fills the new guard of a replica that lost its own, from what the others remember: every attempt that one of them counted counts
 * here too. What etcd has from before a restore is reconciled with the others first.
 * Returns how many records this replica serves again, and of how many it cannot: fewer than n−t+1 others serve them, or two of those have
 * different points as one attempt, or its share of them is not in etcd. Throws NOT_ENOUGH_REPLICAS; then it may be run again.
 */
export async function rebuildGuard(options: RebuildOptions): Promise<{ rebuilt: number; left: number }> {
  const { register } = options;
  const count = { rebuilt: 0, left: 0 };
  const rids = (limit: number, after?: Uint8Array) => register.rids(limit, after);
  for await (const rid of allOf(rids, (each) => each)) count[(await rebuildRecord(rid, options)) ? 'rebuilt' : 'left']++;
  return count;
}

async function rebuildRecord(rid: Uint8Array, options: RebuildOptions): Promise<boolean> {
  const { index, statement, store, peers } = options;
  const { record } = (await readReconciled(rid, options)) ?? {};
  const stored = record?.subRecords.find((each) => each.index === index);
  if (!stored) return false;
  const subRecord = parseSubRecord(stored);
  const recalled = await recallFrom(peers, rid, { ...options, least: 0 });
  const [generation] = generationsServed(recalled);
  if (!generation || !constantTimeEqual(generation.body.g, record?.body?.g ?? new Uint8Array(0))) return false;
  const terms = statement.terms.get(Number(generation.body.epoch));
  if (!terms?.remaining.has(index)) return false; // its share is another token's, or the epoch is served no more
  const { servers, points } = remember(generation, recalled);
  if (!isAgreed(servers)) return false; // the lost guard may have voted for either, and a new one must not vote for the other
  if (servers.length < meeting(terms)) return false; // another one of them may have lost, with its guard, what this one counted with it
  const { live } = await store.read(rid);
  if (!live) await store.restore({ ...generation, subRecord }, points, options.clock.now()); // else a run was interrupted
  return true;
}

/** Undefined where all others together cannot tell which enrolment stands. */
async function readReconciled(rid: Uint8Array, options: RebuildOptions): Promise<Stored | undefined> {
  const { register, peers, statement } = options;
  try {
    return await register.read(rid);
  } catch (error) {
    if (!isVaultError(error, 'RECORD_OUTDATED')) throw error;
  }
  const recalled = await recallFrom(peers, rid, { ...options, least: 0 });
  try {
    await register.reconcile(rid, recalled, { terms: statement.terms });
  } catch (error) {
    if (isVaultError(error, 'NOT_ENOUGH_REPLICAS') && recalled.length === peers.length) return undefined;
    throw error;
  }
  return register.read(rid);
}
