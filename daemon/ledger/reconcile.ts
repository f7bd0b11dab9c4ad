import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import {
  type Attempts,
  AttemptsSchema,
  type Record,
  RecordSchema,
  RecordState,
  type SubRecord,
} from '../../proto/gen/backupvault/v1/record_pb.ts';
import { HASH_LENGTH } from '../../protocol/body.ts';
import type { Generation, Guarded } from './guarded.ts';

/** What etcd holds of a record, from before it was restored. */
export interface Stored {
  readonly attempts: Attempts | undefined;
  readonly record: Record | undefined;
}

export interface ReconcileOptions {
  readonly incarnation: number;
  readonly threshold: number;
  /** All n replicas answered. */
  readonly isComplete: boolean;
}

/** The name of no point: what stands for an attempt that is used up although its point is not known. */
const BURNT = new Uint8Array(HASH_LENGTH);

/**
 * RECONCILE: what etcd shall hold, from what at least n−t+1 guards remember. Any t guards that counted an attempt, or acknowledged a
 * generation, have one among them, so that no counter goes down and no older code comes back. Undefined where nobody knows the record.
 */
export function reconcile(stored: Stored, recalled: readonly Guarded[], options: ReconcileOptions): Stored | undefined {
  const remembered = remember(recalled);
  const number = [stored.attempts?.number ?? 0n, ...recalled.map(({ live }) => live?.number ?? 0n)].reduce((a, b) => (b > a ? b : a)) + 1n;
  const incarnation = BigInt(options.incarnation);
  if (!remembered || isGone(remembered.generation, stored, recalled, options)) {
    const attempts = tombstoneOf(stored.attempts, remembered?.generation);
    return attempts && { attempts: create(AttemptsSchema, { ...attempts, incarnation, number }), record: undefined };
  }
  const { generation, points, lastAttemptMs } = remembered;
  const { body, bodyHash } = generation;
  return {
    attempts: create(AttemptsSchema, {
      incarnation,
      number,
      g: body.g,
      bodyHash,
      limit: body.policy.limit,
      coolDownMs: body.policy.coolDownMs,
      points: [...points],
      state: RecordState.LIVE,
      lastAttemptMs: BigInt(lastAttemptMs),
    }),
    record: create(RecordSchema, { body, subRecords: subRecordsOf(generation, stored, recalled) }),
  };
}

/** What guards together know of the latest generation that any of them serves. */
export interface Remembered {
  readonly generation: Generation;
  /** H, by attempt; BURNT for those that are used up without a point that is known. */
  readonly points: readonly Uint8Array[];
  readonly lastAttemptMs: Millis;
}

export function remember(recalled: readonly Guarded[]): Remembered | undefined {
  const generation = latestLive(recalled);
  if (!generation) return undefined;
  const holders = recalled.filter(({ live }) => live && isSame(live, generation));
  const times = holders.flatMap(({ counted }) => [...counted.values()].map(({ atMs }) => atMs));
  return { generation, points: unionOf(holders), lastAttemptMs: Math.max(0, ...times) };
}

const isSame = (a: Generation, b: Generation): boolean => constantTimeEqual(a.bodyHash, b.bodyHash);

function latestLive(recalled: readonly Guarded[]): Generation | undefined {
  const live = recalled.map((guarded) => guarded.live).filter((generation) => generation !== undefined);
  return live.reduce<Generation | undefined>((latest, each) => (latest && latest.number >= each.number ? latest : each), undefined);
}

/** Erased, as etcd remembers; or held by so few of all replicas that it can never be served again. */
function isGone(
  latest: Generation,
  { attempts }: Stored,
  recalled: readonly Guarded[],
  { threshold, isComplete }: ReconcileOptions,
): boolean {
  if (attempts?.state === RecordState.ERASED && attempts.number >= latest.number) return true;
  const holding = recalled.filter(({ live, prepared }) => [...(live ? [live] : []), ...prepared].some((each) => isSame(each, latest)));
  return isComplete && holding.length < threshold;
}

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
  const own = recalled
    .flatMap(({ live, prepared }) => [...(live ? [live] : []), ...prepared].filter((each) => isSame(each, latest)))
    .map(({ subRecord }) => subRecord);
  const sameBody = record?.body && constantTimeEqual(record.body.g, latest.body.g);
  const others = (sameBody ? record.subRecords : []).filter(({ index }) => !own.some((each) => each.index === index));
  return [...own, ...others].sort((a, b) => a.index - b.index);
}
