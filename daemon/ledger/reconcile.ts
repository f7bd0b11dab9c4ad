import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type Attempts, AttemptsSchema, RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type HashedBody, isLater, type Order } from '../../protocol/body.ts';
import type { Terms } from '../../protocol/terms.ts';
import { inOrder, live } from './attempts.ts';
import { type Counted, type GrantedPoint, heldBy, parseGrantedPoint, type Recalled, renderPoint } from './guarded.ts';

/** What a guard serves, and counted of it. */
export interface Serving {
  readonly live: HashedBody | undefined;
  readonly counted: ReadonlyMap<number, Counted>;
}

export interface ReconcileOptions {
  readonly incarnation: number;
  /** As the statement in force has them, by epoch. */
  readonly terms: ReadonlyMap<number, Terms>;
}

/**
 * RECONCILE: what etcd shall hold, from what it held before it was restored and what at least n−t+1 guards remember, as far as they showed it
 * (replica/reconcile.ts). Any t guards that counted an attempt, or acknowledged a generation, have one among them, so that no counter goes down and no older code
 * comes back. Undefined where nobody knows the record. Throws NOT_ENOUGH_REPLICAS where only those that were not asked can tell.
 */
export function reconcile(stored: Attempts | undefined, recalled: readonly Recalled[], options: ReconcileOptions): Attempts | undefined {
  const served = generationsServed(recalled);
  const generation = latestHeld(
    served.filter(({ body }) => !isErased(stored, body)),
    recalled,
    options,
  );
  if (!generation) {
    const attempts = tombstoneOf(stored, served[0]);
    return attempts && create(AttemptsSchema, { ...attempts, incarnation: BigInt(options.incarnation) });
  }
  const { points, lastAttemptMs } = remember(generation, recalled);
  return live(generation, { ...options, holders: holdersOf(generation, stored, recalled), points, lastAttemptMs });
}

/** A number that a point may have, and the points that etcd holds then. */
export interface Place {
  readonly attempt: number;
  readonly points: readonly GrantedPoint[];
}

/**
 * Where a point may go whose number guards refused, the best place first. One that t guards have under a number has that. Else after all others, which is free
 * everywhere, or under a number that somebody has it under. None: the others use up all numbers. `granted`: etcd's points, as far as a tenant granted them:
 * those that no guard counted come after those that one did.
 */
export function placesFor(
  point: GrantedPoint,
  granted: readonly GrantedPoint[],
  servers: readonly Serving[],
  { limit, threshold }: { limit: number; threshold: number },
): Place[] {
  const name = nameOf(point);
  const [fixed] = [...fixedBy(servers, threshold)].filter(([, hash]) => hash === name);
  if (fixed) return [{ attempt: fixed[0], points: unique([...unionOf(servers, threshold), ...granted]).slice(0, limit) }];
  const isOther = (each: GrantedPoint) => nameOf(each) !== name;
  const ofOthers = servers.map((server) => ({ ...server, counted: new Map([...server.counted].filter(([, each]) => isOther(each))) }));
  const others = unique([...unionOf(ofOthers, threshold), ...granted.filter(isOther)]);
  const named = servers.flatMap(({ counted }) => [...counted].filter(([, each]) => !isOther(each)).map(([attempt]) => attempt));
  const last = others.length + 1;
  return [...new Set([last, ...named])]
    .filter((attempt) => attempt <= Math.min(limit, last))
    .map((attempt) => ({ attempt, points: insert(others, point, attempt).slice(0, limit) }));
}

/** What was there comes last: the numbers of all others stay. */
function insert(others: readonly GrantedPoint[], point: GrantedPoint, attempt: number): GrantedPoint[] {
  const displaced = others.slice(attempt - 1, attempt);
  return [...others.slice(0, attempt - 1), point, ...others.slice(attempt), ...displaced];
}

/** The register with these points in place of those that were `seen`, and after them what was spent since then. */
export function reordered(current: Attempts, points: readonly GrantedPoint[], seen: Attempts, servers: readonly Serving[]): Attempts {
  const old = seen.points.map(({ hash }) => toHex(hash));
  const since = current.points.filter(({ hash }) => !old.includes(toHex(hash))).map(parseGrantedPoint);
  const lastAttemptMs = BigInt(Math.max(Number(current.lastAttemptMs), lastAttemptOf(servers)));
  const next = unique([...points, ...since]).slice(0, current.limit);
  return create(AttemptsSchema, { ...current, points: next.map(renderPoint), lastAttemptMs });
}

const unique = (points: readonly GrantedPoint[]): GrantedPoint[] => {
  const byName = new Map<string, GrantedPoint>();
  for (const point of points) if (!byName.has(nameOf(point))) byName.set(nameOf(point), point);
  return [...byName.values()];
};

/** What guards together know of a generation. */
export interface Remembered {
  /** Those that serve it. */
  readonly servers: readonly Serving[];
  /** H, by attempt. */
  readonly points: readonly GrantedPoint[];
  readonly lastAttemptMs: Millis;
}

export function remember(generation: HashedBody, recalled: readonly Serving[]): Remembered {
  const servers = recalled.filter(({ live }) => live && isSame(live, generation));
  const { threshold, policy } = generation.body;
  return { servers, points: unionOf(servers, threshold).slice(0, policy.limit), lastAttemptMs: lastAttemptOf(servers) };
}

const lastAttemptOf = (servers: readonly Serving[]): Millis =>
  Math.max(0, ...servers.flatMap(({ counted }) => [...counted.values()].map(({ atMs }) => atMs)));

/** Whether no two of them counted different points as one attempt. */
export const isAgreed = (servers: readonly Serving[]): boolean =>
  servers.every(({ counted }, i) =>
    servers.slice(0, i).every((other) =>
      [...counted].every(([attempt, { pointHash }]) => {
        const there = other.counted.get(attempt);
        return there === undefined || constantTimeEqual(there.pointHash, pointHash);
      }),
    ),
  );

export const isSame = (a: HashedBody, b: HashedBody): boolean => constantTimeEqual(a.bodyHash, b.bodyHash);

/** The generations that guards serve, the latest first. Each guard may be at another one. */
export function generationsServed<T extends HashedBody>(recalled: readonly { readonly live: T | undefined }[]): T[] {
  const live = recalled.map((guarded) => guarded.live).filter((generation) => generation !== undefined);
  return live.sort((a, b) => (isLater(a.body, b.body) || (!isLater(b.body, a.body) && toHex(a.bodyHash) > toHex(b.bodyHash)) ? -1 : 1));
}

/** By a tombstone of the generation itself, or of a later one. */
const isErased = (attempts: Attempts | undefined, order: Order): boolean =>
  attempts?.state === RecordState.ERASED && !isLater(order, attempts);

/** The latest generation that t guards hold, or may hold: fewer can never serve anybody. Where those not heard decide, they are waited for. */
function latestHeld(served: readonly HashedBody[], recalled: readonly Recalled[], { terms }: ReconcileOptions): HashedBody | undefined {
  for (const generation of served) {
    const { threshold, remaining } = terms.get(Number(generation.body.epoch)) ?? UNSERVED;
    const heard = recalled.filter(({ index }) => remaining.has(index));
    const holders = heard.filter((each) => holds(each, generation)).length;
    if (holders >= threshold) return generation;
    if (holders + remaining.size - heard.length >= threshold)
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

/** Served or prepared. */
const holds = (recalled: Recalled, generation: HashedBody): boolean => heldBy(recalled).some((each) => isSame(each, generation));

function tombstoneOf(attempts: Attempts | undefined, latest: HashedBody | undefined) {
  const isNamedByGuards = latest && (!attempts || isLater(latest.body, attempts));
  const named = isNamedByGuards ? live(latest, { incarnation: 0, holders: [] }) : attempts;
  return named && { ...named, points: [], state: RecordState.ERASED };
}

/**
 * H as the guards hold it together: a point that t of them have under one number has that, since whoever lies is among fewer than t; under each other number is
 * the point that most have there. A point that is left over, because there was another one, comes after the others: no count goes down, and whatever a guard
 * says, it can add no point but one that was granted.
 */
function unionOf(servers: readonly Serving[], threshold: number): GrantedPoint[] {
  const entries = servers.flatMap(({ counted }) => [...counted]).sort(([a], [b]) => a - b);
  const left = new Map(entries.map(([, { pointHash, grant }]) => [toHex(pointHash), { pointHash, grant }]));
  const fixed = fixedBy(servers, threshold);
  const isFree = (name: string) => left.has(name) && ![...fixed.values()].includes(name);
  const points: GrantedPoint[] = [];
  while (left.size > 0) {
    const attempt = points.length + 1;
    const named = servers.map(({ counted }) => toHex(counted.get(attempt)?.pointHash ?? new Uint8Array(0))).filter(isFree);
    const here = fixed.get(attempt);
    const name =
      here !== undefined && left.has(here) ? here : (byFrequency(named)[0] ?? [...left.keys()].find(isFree) ?? [...left.keys()][0]);
    points.push(left.get(name as string) as GrantedPoint);
    left.delete(name as string);
  }
  return points;
}

/** The points that t guards have under one number, by number. */
export function fixedBy(servers: readonly Serving[], threshold: number): Map<number, string> {
  const fixed = new Map<number, string>();
  for (const { counted } of servers)
    for (const [attempt, point] of counted) {
      const name = nameOf(point);
      const agree = servers.filter((other) => nameOf(other.counted.get(attempt)) === name).length;
      if (agree >= threshold) fixed.set(attempt, name);
    }
  return fixed;
}

const nameOf = (point: GrantedPoint | undefined): string => (point ? toHex(point.pointHash) : '');

/** The most frequent first; of those that are equally so, always the same. */
function byFrequency(names: readonly string[]): string[] {
  const frequency = (name: string) => names.filter((each) => each === name).length;
  return [...new Set(names)].sort((a, b) => frequency(b) - frequency(a) || (a < b ? -1 : 1));
}

/** Those that said so, and those of the same body that etcd had. */
function holdersOf(generation: HashedBody, stored: Attempts | undefined, recalled: readonly Recalled[]): number[] {
  const known = stored && constantTimeEqual(stored.bodyHash, generation.bodyHash) ? stored.holders : [];
  return inOrder([...known, ...recalled.filter((each) => holds(each, generation)).map(({ index }) => index)]);
}
