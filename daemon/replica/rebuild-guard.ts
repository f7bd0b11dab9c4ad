import { create } from '@bufbuild/protobuf';
import { combine } from 'shamir-secret-sharing';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { choices } from '../../primitives/choices.ts';
import { isVaultError } from '../../primitives/errors.ts';
import { type Attempts, type Hold, RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { GiveBackRequestSchema } from '../../proto/gen/backupvault/v1/replica_pb.ts';
import type { HashedBody } from '../../protocol/body.ts';
import { SECRET_NAME_LENGTH } from '../../protocol/offer.ts';
import type { OwnerList } from '../../protocol/owner-list.ts';
import type { SubRecord } from '../../protocol/sub-record.ts';
import { meeting, type Terms } from '../../protocol/terms.ts';
import type { GuardStore } from '../ledger/guard-store.ts';
import type { GrantedPoint, Recalled } from '../ledger/guarded.ts';
import { type Decision, decide, forgotten } from '../ledger/hold.ts';
import { generationsServed, isAgreed, isSame, remember } from '../ledger/reconcile.ts';
import { allOf, type Register } from '../ledger/register.ts';
import { parseSeedShare, type SeedShare } from '../ledger/seed-share.ts';
import type { TokenPort } from '../token/port.ts';
import { isHolder, isPreparedBy } from '../vault/evidence.ts';
import { storedGeneration } from '../vault/stored-generation.ts';
import { askAll } from './fan-out.ts';
import type { Participant } from './participant.ts';
import { type Recalling, recallFrom } from './reconcile.ts';

/** Of a guard that was not lost. */
const FIRST_GUARD = 1;

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
 * Returns how many records this replica serves again, and of how many it cannot: fewer than m−t+1 other holders can know what was counted, or fewer than n−t+1 others answer, or two have
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
  if (recalled.length < meeting(terms)) return false; // those who did not answer may serve a later one
  const knowing = recalled.filter((one) => isServing(one, generation) || neverHeld(options, one, generation)).length;
  if (knowing < meetingHolders(generation)) return false; // another one of them may have lost, with its guard, what this one counted with it
  if (knowing < knowingVetoes(generation, terms)) return false;
  const { live } = await store.read(rid);
  if (live) return true; // a run was interrupted
  const subRecord = await subRecordFrom(options, generation, terms.threshold);
  if (!subRecord) return false;
  const madeWith = new Uint8Array(SECRET_NAME_LENGTH); // whatever ticket secret it was, it went with the process that had it
  const remembered = { points, decided: decidedBy(generation, points, recalled), list: listOf(generation, recalled) };
  await store.restore({ ...generation, subRecord, madeWith }, remembered, options.clock.now());
  return true;
}

const isServing = ({ live }: Recalled, generation: HashedBody): boolean => live !== undefined && isSame(live, generation);

/** One that was to hold it, and does not: if it never lost its guard, it counted nothing of it, and would know of no veto. */
const neverHeld = ({ statement }: RebuildOptions, { index }: Recalled, { body }: HashedBody): boolean =>
  isHolder(statement, body, index) && statement.replicas.some((one) => one.index === index && one.guardIncarnation === FIRST_GUARD);

/** m−t+1: of so many holders any t that counted an attempt have one among them. */
const meetingHolders = ({ body: { shares, threshold } }: HashedBody): number => shares.length - threshold + 1;

/**
 * t others, or all others that hold it: of m−t+1 holders that keep to a veto, this one forgot it, and one of so many knows it still. Where m = t nobody may: a veto that shall outlast
 * a lost guard needs one holder more.
 */
const knowingVetoes = ({ body: { policy, shares } }: HashedBody, { threshold }: Terms): number =>
  policy.holdMs === 0n ? 0 : Math.min(threshold, shares.length - 1);

/** What its owner said of attempts, to whichever of the others. A hold itself begins anew, with the next proof; what the lost guard may have released is not known. */
function decidedBy(generation: HashedBody, points: readonly GrantedPoint[], recalled: readonly Recalled[]): Map<string, Hold> {
  const holds = new Map<string, Hold>();
  if (generation.body.policy.holdMs > 0n) points.forEach(({ pointHash }, i) => void holds.set(toHex(pointHash), forgotten(i + 1)));
  const serving = recalled.filter((one) => isServing(one, generation));
  const all = serving.flatMap(({ decided }) => decided).sort((a, b) => Number(a.isVeto) - Number(b.isVeto)); // a veto is never passed over
  for (const { pointHash, ...decision } of all) {
    const name = toHex(pointHash);
    const known = holds.get(name);
    const next = isOfOtherBase(known, decision) ? undefined : decide(known, decision);
    if (next) holds.set(name, next);
  }
  return holds;
}

/** The newest that lies beside it. */
const listOf = (generation: HashedBody, recalled: readonly Recalled[]): OwnerList | undefined =>
  recalled
    .filter((one) => isServing(one, generation))
    .flatMap(({ list }) => list ?? [])
    .reduce<OwnerList | undefined>((newest, list) => (newest && newest.counter >= list.counter ? newest : list), undefined);

/** The owner approved two bases of one point, each at another holder: it is told to one of them again, or vetoed. */
const isOfOtherBase = (known: Hold | undefined, { isVeto, blindedBase }: Decision): boolean =>
  !isVeto && known !== undefined && known.blindedBase.length > 0 && !constantTimeEqual(known.blindedBase, blindedBase);

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
