import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import {
  type Attempts,
  AttemptsSchema,
  type Record,
  RecordSchema,
  RecordState,
  type SubRecord,
} from '../../proto/gen/backupvault/v1/record_pb.ts';
import { HASH_LENGTH } from '../../protocol/body.ts';
import { renderSubRecord } from '../../protocol/sub-record.ts';
import type { Terms } from '../../protocol/terms.ts';
import { live, nextNumber } from './attempts.ts';
import { type Generation, type Guarded, heldBy } from './guarded.ts';

/** What etcd holds of a record, from before it was restored. */
export interface Stored {
  readonly attempts: Attempts | undefined;
  readonly record: Record | undefined;
}

export interface ReconcileOptions {
  readonly incarnation: number;
  /** As the statement in force has them, by epoch. */
  readonly terms: ReadonlyMap<number, Terms>;
  /** All n replicas answered. */
  readonly isComplete: boolean;
}

/** The name of no point: what stands for an attempt that is used up although its point is not known. */
const BURNT = new Uint8Array(HASH_LENGTH);

/**
 * RECONCILE: what etcd shall hold, from what at least n−t+1 guards remember. Any t guards that counted an attempt, or acknowledged a
 * generation, have one among them, so that no counter goes down and no older code comes back. Undefined where nobody knows the record.
 * Throws NOT_ENOUGH_REPLICAS where only those that were not asked can tell.
 */
export function reconcile(stored: Stored, recalled: readonly Guarded[], options: ReconcileOptions): Stored | undefined {
  const served = generationsServed(recalled);
  const highest = [stored.attempts?.number ?? 0n, served[0]?.number ?? 0n].reduce((a, b) => (b > a ? b : a));
  const number = nextNumber(highest, options.incarnation);
  const generation = isErased(stored, served[0]) ? undefined : latestHeld(served, recalled, options);
  if (!generation) {
    const attempts = tombstoneOf(stored.attempts, served[0]);
    const incarnation = BigInt(options.incarnation);
    return attempts && { attempts: create(AttemptsSchema, { ...attempts, incarnation, number }), record: undefined };
  }
  const { points, lastAttemptMs } = remember(generation, recalled);
  return {
    attempts: live(generation, options.incarnation, number, points, lastAttemptMs),
    record: create(RecordSchema, { body: generation.body, subRecords: subRecordsOf(generation, stored, recalled) }),
  };
}

/** What guards together know of a generation. */
export interface Remembered {
  /** Those that serve it. */
  readonly servers: readonly Guarded[];
  /** H, by attempt; BURNT for those that are used up without a point that is known. */
  readonly points: readonly Uint8Array[];
  readonly lastAttemptMs: Millis;
}

export function remember(generation: Generation, recalled: readonly Guarded[]): Remembered {
  const servers = recalled.filter(({ live }) => live && isSame(live, generation));
  const times = servers.flatMap(({ counted }) => [...counted.values()].map(({ atMs }) => atMs));
  return { servers, points: unionOf(servers), lastAttemptMs: Math.max(0, ...times) };
}

const isSame = (a: Generation, b: Generation): boolean => constantTimeEqual(a.bodyHash, b.bodyHash);

/** The generations that guards serve, the latest first. Each guard may be at another one. */
export function generationsServed(recalled: readonly Guarded[]): Generation[] {
  const live = recalled.map((guarded) => guarded.live).filter((generation) => generation !== undefined);
  return live.sort((a, b) => (a.number > b.number ? -1 : 1));
}

const isErased = ({ attempts }: Stored, latest: Generation | undefined): boolean =>
  attempts?.state === RecordState.ERASED && attempts.number >= (latest?.number ?? 0n);

/**
 * The latest generation, if t guards hold it: fewer can never serve anybody. Where all were asked and fewer hold it, the latest that t
 * hold; where some were not asked, they may be its holders.
 */
function latestHeld(
  served: readonly Generation[],
  recalled: readonly Guarded[],
  { terms, isComplete }: ReconcileOptions,
): Generation | undefined {
  for (const generation of served) {
    const { threshold, remaining } = terms.get(Number(generation.body.epoch)) ?? UNSERVED;
    const copies = recalled.map((guarded) => copyOf(generation, guarded)).filter((copy) => copy && remaining.has(copy.subRecord.index));
    if (copies.length >= threshold) return generation;
    if (!isComplete)
      throw new VaultError(
        'NOT_ENOUGH_REPLICAS',
        'After the restore of etcd, the replicas that answered cannot tell which enrolment stands; send the same bytes again later.',
        { details: { replicasAnswered: recalled.length, replicasNeeded: recalled.length + 1 } },
      );
  }
  return undefined;
}

/** Of an epoch that the statement lists no more. */
const UNSERVED = { threshold: Number.POSITIVE_INFINITY, remaining: new Set<number>() };

/** What a guard has of a generation, served or prepared. */
const copyOf = (generation: Generation, guarded: Guarded): Generation | undefined =>
  heldBy(guarded).find((each) => isSame(each, generation));

function tombstoneOf(attempts: Attempts | undefined, latest: Generation | undefined) {
  if (!attempts && !latest) return undefined;
  const named = latest && (!attempts || latest.number > attempts.number) ? { g: latest.body.g, bodyHash: latest.bodyHash } : attempts;
  return { g: named?.g ?? BURNT, bodyHash: named?.bodyHash ?? BURNT, points: [], state: RecordState.ERASED };
}

/** H as the guards hold it together. A number with no point, or with two, is used up all the same. */
function unionOf(holders: readonly Guarded[]): Uint8Array[] {
  const last = Math.max(0, ...holders.flatMap(({ counted }) => [...counted.keys()]));
  return Array.from({ length: last }, (_, i) => {
    const points = holders.map(({ counted }) => counted.get(i + 1)?.pointHash).filter((point) => point !== undefined);
    const [first, ...others] = points;
    return first && others.every((point) => constantTimeEqual(point, first)) ? first : BURNT;
  });
}

/** Each replica's own, where it was asked; what etcd had of the same body, where it was not. */
function subRecordsOf(latest: Generation, { record }: Stored, recalled: readonly Guarded[]): SubRecord[] {
  const copies = recalled.map((guarded) => copyOf(latest, guarded)).filter((copy) => copy !== undefined);
  const own = copies.map(({ subRecord }) => renderSubRecord(subRecord));
  const sameBody = record?.body && constantTimeEqual(record.body.g, latest.body.g);
  return mergeSubRecords(sameBody ? record.subRecords : [], own);
}

/** The newer sub-record of a replica wins: it is the one that its guard has prepared. */
export function mergeSubRecords(before: readonly SubRecord[], now: readonly SubRecord[]): SubRecord[] {
  const kept = before.filter((b) => !now.some((n) => n.index === b.index));
  return [...kept, ...now].sort((a, b) => a.index - b.index);
}
