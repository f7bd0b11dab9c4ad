import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { Policy } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { AttemptName } from '../../protocol/transcripts.ts';
import { coolDownEnd, coolingDown, exhausted } from './attempts.ts';
import type { Counted, Generation, GrantedPoint, Guarded } from './guarded.ts';

// What a guard writes to count an attempt, as pure steps from what it knows of the record. No I/O.

/** What pays for an attempt. */
export interface Paid {
  /** It names the attempt's point. */
  readonly grant: string;
  /** Points of earlier attempts, whose grants were verified. */
  readonly shown: readonly GrantedPoint[];
}

/** What is to be written so that an attempt is counted: no entries where it is. */
export interface Change {
  readonly generation: Generation;
  readonly entries: ReadonlyMap<number, Counted>;
}

type ExpectMay = (guarded: Guarded, policy: Policy, now: Millis) => void;

/** For a vote. Throws as Guard.count does. */
export const countingOf = (guarded: Guarded, name: AttemptName, paid: Paid, now: Millis): Change =>
  changeFor(guarded, name, name.attempt, paid, now, expectCooledDown);

/** For an evaluation that t votes allow, under whatever number the point is counted here. Throws as Guard.adopt does. */
export const adoptingOf = (guarded: Guarded, name: AttemptName, paid: Paid, now: Millis): Change =>
  changeFor(guarded, name, numberOf(guarded, name) ?? name.attempt, paid, now, () => {});

/** `place`: its number in H, where that is another than the attempt's. */
function changeFor(guarded: Guarded, name: AttemptName, place: number, { grant, shown }: Paid, now: Millis, expectMay: ExpectMay): Change {
  const generation = expectLive(guarded, name);
  const { policy } = generation.body;
  const { attempt, pointHash } = name;
  if (attempt < 1 || attempt > policy.limit) throw exhausted(policy);
  const known = countedAs(guarded, { ...name, attempt: place });
  const first = guarded.counted.size + 1;
  const entries = new Map(missed(guarded, name, shown).map((point, i): [number, Counted] => [first + i, { ...point, atMs: 0 }]));
  if (!known || known.atMs === 0) entries.set(place, { pointHash, grant, atMs: Math.max(1, Math.floor(now)) });
  if (entries.size > 0) expectMay(guarded, policy, now);
  return { generation, entries };
}

/** How many points are missing here, beside the attempt's own, for as many to be counted as its number says. */
export const missing = (guarded: Guarded, name: AttemptName): number =>
  Math.max(0, name.attempt - guarded.counted.size - (numberOf(guarded, name) === undefined ? 1 : 0));

/**
 * Points that were shown and are not counted here, as many as are missing: each was granted, so each uses up a number. Throws ATTEMPT_GAP where
 * fewer were shown: a receipt would else say that fewer attempts were used than t others counted, or more than are counted here.
 */
function missed(guarded: Guarded, name: AttemptName, shown: readonly GrantedPoint[]): GrantedPoint[] {
  const { counted } = guarded;
  const fresh = new Map(shown.map((point) => [toHex(point.pointHash), point]));
  for (const known of [...counted.values(), name]) fresh.delete(toHex(known.pointHash));
  const most = missing(guarded, name);
  if (fresh.size < most)
    throw new VaultError(
      'ATTEMPT_GAP',
      `This replica counted ${counted.size} attempts, and was not shown all of those before attempt ${name.attempt}.`,
    );
  return [...fresh.values()].slice(0, most);
}

/** Where a point is in H. */
export function numberOf({ counted }: Guarded, { pointHash }: Pick<AttemptName, 'pointHash'>): number | undefined {
  for (const [number, known] of counted) if (constantTimeEqual(known.pointHash, pointHash)) return number;
  return undefined;
}

/** The attempt, where this point was counted as just that. Throws ATTEMPT_CONFLICT. */
function countedAs(guarded: Guarded, name: AttemptName): Counted | undefined {
  const { attempt } = name;
  const entry = guarded.counted.get(attempt);
  const number = numberOf(guarded, name);
  if (entry && number !== attempt) throw conflict(`Attempt ${attempt} was counted for another point`);
  // One grant is for one attempt: a coordinator must not spend all of them with the point of one.
  if (number !== undefined && number !== attempt) throw conflict(`The point of attempt ${attempt} was counted as attempt ${number}`);
  return entry;
}

/** Throws GENERATION_UNKNOWN. */
export function expectLive({ live }: Guarded, { g, bodyHash }: AttemptName): Generation {
  if (!live || !constantTimeEqual(live.body.g, g) || !constantTimeEqual(live.bodyHash, bodyHash)) throw unknownGeneration();
  return live;
}

/** Since this guard voted last. */
function expectCooledDown({ counted }: Guarded, { limit, coolDownMs }: Policy, now: Millis): void {
  const times = [...counted.values()].map(({ atMs }) => atMs).filter((atMs) => atMs > 0);
  const wait = Math.max(0, ...times.map((atMs) => coolDownEnd(atMs, Number(coolDownMs), now)));
  if (wait > now) throw coolingDown(wait, counted.size, limit);
}

const conflict = (what: string) => new VaultError('ATTEMPT_CONFLICT', `${what}; send exactly the same bytes again.`);

export const unknownGeneration = () =>
  new VaultError('GENERATION_UNKNOWN', 'This replica does not hold that generation of the record; describe it and use its g.');
