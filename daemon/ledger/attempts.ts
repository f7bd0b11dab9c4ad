import { create } from '@bufbuild/protobuf';
import type { Millis } from '../../primitives/brand.ts';
import { constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import {
  type Attempts,
  AttemptsSchema,
  type Erasure,
  type GrantedPoint as GrantedPointMessage,
  RecordState,
} from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type HashedBody, isLater } from '../../protocol/body.ts';
import { type GrantedPoint, renderPoint } from './guarded.ts';

// What each transaction does to the register a/<rid>, as pure steps from the value read to the value to write. No clock, no I/O.

const LIVE = RecordState.LIVE;
const ERASED = RecordState.ERASED;

/** `next` undefined: nothing to write, it is so already. */
export interface Step {
  readonly next: Attempts | undefined;
}

/**
 * ENROL: `current` undefined where the record never was. Holders that were heard later are added to those that are there. Throws GENERATION_CONFLICT.
 */
export function enrol(current: Attempts | undefined, { body, bodyHash }: HashedBody, { incarnation, holders }: LiveOptions): Step {
  if (current && constantTimeEqual(current.g, body.g)) {
    if (current.state === LIVE && constantTimeEqual(current.bodyHash, bodyHash)) {
      const all = inOrder([...current.holders, ...holders]);
      return { next: all.length > current.holders.length ? create(AttemptsSchema, { ...current, holders: all }) : undefined };
    }
    throw conflict('this g was used before, with another body or for a record that was erased');
  }
  // An enrolment names what it replaces, so that one sent again after a later one cannot bring an old code back.
  if (!constantTimeEqual(current?.g ?? new Uint8Array(0), body.previous))
    throw conflict('body.previous is not the generation that is stored');
  if (body.number !== (current?.number ?? 0n) + 1n) throw conflict('body.number is not the next one');
  if (!constantTimeEqual(body.line, current?.state === LIVE ? current.line : body.g))
    throw conflict('body.line is not that of what is stored');
  return { next: live({ body, bodyHash }, { incarnation, holders }) };
}

interface LiveOptions {
  readonly incarnation: number;
  /** Indices. */
  readonly holders: readonly number[];
  /** H */
  readonly points?: readonly GrantedPoint[];
  readonly lastAttemptMs?: Millis;
}

/** The value for a generation that is live. */
export const live = ({ body, bodyHash }: HashedBody, { incarnation, holders, points = [], lastAttemptMs = 0 }: LiveOptions): Attempts =>
  create(AttemptsSchema, {
    incarnation: BigInt(incarnation),
    g: body.g,
    bodyHash,
    limit: body.policy.limit,
    coolDownMs: body.policy.coolDownMs,
    points: points.map(renderPoint),
    state: LIVE,
    lastAttemptMs: BigInt(lastAttemptMs),
    number: body.number,
    epoch: body.epoch,
    line: body.line,
    holders: inOrder(holders),
  });

/** Each once. */
export const inOrder = (holders: readonly number[]): number[] => [...new Set(holders)].sort((a, b) => a - b);

/**
 * SPEND: makes a point attempt k, or finds that it is one already: then it is free, whatever else holds. `lower`: those that came before it.
 * Throws RECORD_UNKNOWN, GENERATION_UNKNOWN, ERASED, EXHAUSTED, COOLING_DOWN.
 */
export function spend(
  current: Attempts | undefined,
  g: Uint8Array,
  point: GrantedPoint,
  now: Millis,
): Step & { readonly attempt: number; readonly lower: readonly GrantedPointMessage[] } {
  const attempts = expectLive(current, g);
  const known = attempts.points.findIndex(({ hash }) => constantTimeEqual(hash, point.pointHash));
  if (known >= 0) return { next: undefined, attempt: known + 1, lower: attempts.points.slice(0, known) };
  const used = attempts.points.length;
  if (used >= attempts.limit) throw exhausted(attempts);
  const wait = notBefore(attempts, now);
  if (wait > now) throw coolingDown(wait, used, attempts.limit);
  const next = create(AttemptsSchema, {
    ...attempts,
    points: [...attempts.points, renderPoint(point)],
    lastAttemptMs: BigInt(Math.floor(now)),
  });
  return { next, attempt: used + 1, lower: attempts.points };
}

/** ERASE: a tombstone keeps g, so that a late or repeated enrolment of it stays refused, and what shows that it may go. Throws RECORD_UNKNOWN, GENERATION_UNKNOWN. */
export function erase(current: Attempts | undefined, g: Uint8Array, erasure: Erasure): Step {
  const attempts = expect(current, g);
  if (attempts.state === ERASED) return { next: undefined };
  return { next: create(AttemptsSchema, { ...attempts, points: [], state: ERASED, erasure }) };
}

/**
 * ERASE of what a guard holds and etcd forgot: nothing is there, or a tombstone of what came before it. What is enrolled next then has a higher number than
 * all that guards saw destroyed. Throws as `erase` does where it is not forgotten.
 */
export function eraseForgotten(current: Attempts | undefined, held: HashedBody, erasure: Erasure, incarnation: number): Step {
  const isForgotten = !current || (current.state === ERASED && isLater(held.body, current));
  if (!isForgotten) return erase(current, held.body.g, erasure);
  return { next: create(AttemptsSchema, { ...live(held, { incarnation, holders: [] }), state: ERASED, erasure }) };
}

/** ERASE of what t replicas say is spent. What was enrolled anew in the meantime stays. */
export function eraseSpent(current: Attempts | undefined, g: Uint8Array, erasure: Erasure): Step {
  if (!current || !isExhausted(current) || !constantTimeEqual(current.g, g)) return { next: undefined };
  return erase(current, g, erasure);
}

/** Earliest time of a new attempt. */
export function notBefore(attempts: Attempts, now: Millis): Millis {
  return attempts.points.length === 0 ? 0 : coolDownEnd(Number(attempts.lastAttemptMs), Number(attempts.coolDownMs), now);
}

const MOST_SKEW: Millis = 60_000; // between the clocks of replicas, and of one before and after it was set

/**
 * When a cool-down is over. A time from the future is of a clock that was wrong: taken for now, at each new now, it would lock the
 * record until that time has come. Without it there is no wait here; guards whose clocks were right still wait. So no wait is longer than
 * twice the cool-down, whatever the clocks were.
 */
export const coolDownEnd = (at: Millis, coolDown: Millis, now: Millis): Millis =>
  at > now + Math.min(coolDown, MOST_SKEW) ? 0 : at + coolDown;

export const isExhausted = (attempts: Attempts): boolean => attempts.state === LIVE && attempts.points.length >= attempts.limit;

/** Throws RECORD_UNKNOWN, GENERATION_UNKNOWN, ERASED. */
export function expectLive(current: Attempts | undefined, g: Uint8Array): Attempts {
  const attempts = expect(current, g);
  if (attempts.state !== LIVE) throw erased();
  return attempts;
}

function expect(current: Attempts | undefined, g: Uint8Array): Attempts {
  if (!current) throw new VaultError('RECORD_UNKNOWN', 'There is no such record; enrol first.');
  if (constantTimeEqual(current.g, g)) return current;
  throw new VaultError('GENERATION_UNKNOWN', 'The record has another generation; describe it and use its g.');
}

const conflict = (why: string) =>
  new VaultError('GENERATION_CONFLICT', `The enrolment is refused: ${why}. Describe the record and start again.`);

const erased = () => new VaultError('ERASED', 'The record was erased; enrol again.');

export const exhausted = ({ limit }: { limit: number }) =>
  new VaultError('EXHAUSTED', `All ${limit} attempts are spent; the record will be erased.`, {
    details: { attemptsUsed: limit, attemptsLimit: limit },
  });

export const coolingDown = (wait: Millis, attemptsUsed: number, attemptsLimit: number) =>
  new VaultError('COOLING_DOWN', 'The next attempt is not allowed yet.', { details: { notBefore: wait, attemptsUsed, attemptsLimit } });
