import { create } from '@bufbuild/protobuf';
import { combine } from 'shamir-secret-sharing';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { choices } from '../../primitives/choices.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { type Attempts, RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { GiveBackRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { HashedBody } from '../../protocol/body.ts';
import { SECRET_NAME_LENGTH } from '../../protocol/offer.ts';
import type { SubRecord } from '../../protocol/sub-record.ts';
import { meeting } from '../../protocol/terms.ts';
import type { GuardStore } from '../ledger/guard-store.ts';
import { generationsServed, isAgreed, remember } from '../ledger/reconcile.ts';
import { allOf, type Register } from '../ledger/register.ts';
import { parseSeedShare, type SeedShare } from '../ledger/seed-share.ts';
import type { TokenPort } from '../token/port.ts';
import { isPreparedBy } from '../vault/evidence.ts';
import { storedGeneration } from '../vault/stored-generation.ts';
import { askAll } from './fan-out.ts';
import type { Participant } from './participant.ts';
import { type Recalling, recallFrom } from './reconcile.ts';

export interface RebuildOptions extends Omit<Recalling, 'least'> {
  /** This replica, whose guard was lost. `statement` names the new guard, and the others must serve under it already. */
  readonly index: number;
  readonly store: GuardStore;
  readonly register: Register;
  /** Tells the right seed: of this replica. */
  readonly token: Pick<TokenPort, 'check'>;
  /** The others. */
  readonly peers: readonly Participant[];
}

/**
 * Fills the new guard of a replica that lost its own, from what the others remember: every attempt that one of them counted counts
 * here too, and its seeds come back of the shares that they kept. What etcd has from before a restore is reconciled with the others first.
 * Returns how many records this replica serves again, and of how many it cannot: fewer than n−t+1 others serve them, or two of those have
 * different points as one attempt, or fewer than t kept a share of its seed. Throws NOT_ENOUGH_REPLICAS; then it may be run again.
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
  const attempts = await readReconciled(rid, options);
  if (attempts?.state !== RecordState.LIVE) return false;
  const recalled = await recallFrom(peers, rid, { ...options, least: 0 });
  const [generation] = generationsServed(recalled);
  if (!generation || !constantTimeEqual(generation.body.g, attempts.g)) return false;
  const terms = statement.terms.get(Number(generation.body.epoch));
  if (!terms?.remaining.has(index)) return false; // its share is another token's, or the epoch is served no more
  const { servers, points } = remember(generation, recalled);
  if (!isAgreed(servers)) return false; // the lost guard may have voted for either, and a new one must not vote for the other
  if (servers.length < meeting(terms)) return false; // another one of them may have lost, with its guard, what this one counted with it
  const { live } = await store.read(rid);
  if (live) return true; // a run was interrupted
  const subRecord = await subRecordFrom(options, generation, terms.threshold);
  if (!subRecord) return false;
  const madeWith = new Uint8Array(SECRET_NAME_LENGTH); // whatever ticket secret it was, it went with the process that had it
  await store.restore({ ...generation, subRecord, madeWith }, points, options.clock.now());
  return true;
}

/** Of the shares that others kept: any t of one deal, such that this replica's token made the MAC, and the signature beside it. Undefined where there are none; wrong ones are tried around. */
async function subRecordFrom(options: RebuildOptions, generation: HashedBody, threshold: number): Promise<SubRecord | undefined> {
  const { index, peers, statement, clock, token } = options;
  const request = create(GiveBackRequestSchema, { rid: generation.body.rid, epoch: BigInt(statement.epoch) });
  const ask = async ({ calls }: Participant) => (await calls.giveBack(request)).shares.map(parseSeedShare);
  const { answers } = await askAll(peers, ask, { enough: peers.length, grace: 0, clock });
  const ofIt = [...answers.values()].flatMap((shares) => shares.filter(({ g }) => constantTimeEqual(g, generation.body.g)).slice(0, 1));
  for (const deal of new Set(ofIt.map((share) => toHex(share.deal)))) {
    const together = ofIt.filter((share) => toHex(share.deal) === deal);
    for (const some of choices(together, threshold)) {
      const subRecord = await combined(some, index);
      const isOurs = subRecord && isPreparedBy(options, generation, subRecord) && (await isStored(token, { ...generation, subRecord }));
      if (isOurs) return subRecord;
    }
  }
  return undefined;
}

/** Undefined for shares that cannot belong together. */
async function combined(shares: readonly SeedShare[], index: number): Promise<SubRecord | undefined> {
  const [first] = shares;
  const xs = new Set(shares.map(({ share }) => share.at(-1)));
  if (!first || xs.size < shares.length || xs.has(0)) return undefined;
  const { enrolledAtMs, mac, signature } = first;
  const seed = Uint8Array.from(await combine(shares.map(({ share }) => Uint8Array.from(share)))); // it takes no Buffers
  return { index, seed, enrolledAtMs, mac, signature };
}

async function isStored(token: RebuildOptions['token'], generation: HashedBody & { readonly subRecord: SubRecord }): Promise<boolean> {
  try {
    await token.check(storedGeneration(generation));
    return true;
  } catch (error) {
    if (isVaultError(error, 'MAC_REFUSED')) return false;
    throw error;
  }
}

/** Undefined where all others together cannot tell which enrolment stands. */
async function readReconciled(rid: Uint8Array, options: RebuildOptions): Promise<Attempts | undefined> {
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
