import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { type Attempts, AttemptsSchema, BodySchema, RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import type { Terms } from '../../protocol/terms.ts';
import { isExhausted, spend } from './attempts.ts';
import { type Recalled, renderPoint, type Shown } from './guarded.ts';
import { isAgreed, placesFor, reconcile, reordered } from './reconcile.ts';

const fill = (n: number, length: number) => new Uint8Array(length).fill(n);
const point = Uint8Array.of(2, ...fill(1, 32));
const hash = (n: number) => fill(n, 32);

/** Generation n of a record, as replica `index` shows it. */
function generation(n: number, index: number, epoch = 1n): Shown {
  const shares = [1, 2, 3].map((i) => ({ index: i, x: i, mask: hash(0), releaseMask: hash(0) }));
  const body = create(BodySchema, {
    ...{ version: 1, fleet: 'test', epoch, rid: hash(7), g: fill(n, 16), threshold: 2, shares, policy: { limit: 3 } },
    ...{ ownerKey: hash(0), previous: n > 1 ? fill(n - 1, 16) : new Uint8Array(0), payload: fill(0, 60) },
    ...{ proofKey: point, releaseBase: point, number: BigInt(n), line: fill(1, 16) },
  });
  return { ...parseBody(body), prepared: [{ index, signature: fill(n, 64) }] };
}

const granted = (h: number) => ({ pointHash: hash(h), grant: `granted ${h}` });

/** A guard with generation n live and these points counted, by attempt. */
const guard = (index: number, n: number, ...points: number[]): Recalled => ({
  index,
  live: generation(n, index),
  prepared: [],
  counted: new Map(points.map((h, i) => [i + 1, { ...granted(h), atMs: h }])),
  decided: [],
  list: undefined,
});
/** One that holds nothing. */
const empty = (index: number): Recalled => ({ index, live: undefined, prepared: [], counted: new Map(), decided: [], list: undefined });

/** What etcd was put back to: generation n with these points. */
function snapshot(n: number, points: number[], state = RecordState.LIVE, epoch = 1n): Attempts {
  const { body, bodyHash } = generation(n, 1, epoch);
  return create(AttemptsSchema, {
    ...{ incarnation: 1n, g: body.g, bodyHash, limit: 3, points: points.map((h) => renderPoint(granted(h))), state },
    ...{ number: BigInt(n), epoch, line: fill(1, 16), holders: [1, 2, 3] },
  });
}

/** Of n replicas in epochs 1 and 2. */
function termsOf(n: number): ReadonlyMap<number, Terms> {
  const indices = new Set(Array.from({ length: n }, (_, i) => i + 1));
  return new Map([1, 2].map((epoch) => [epoch, { epoch, threshold: Math.floor(n / 2) + 1, indices, remaining: indices }]));
}
const options = { incarnation: 2, terms: termsOf(3) };
const reconciled = (stored: Attempts | undefined, recalled: Recalled[]) => reconcile(stored, recalled, options);
const pointsOf = (attempts: Attempts | undefined) => attempts?.points.map(({ hash: [first] }) => first);

describe('after a restore of etcd', () => {
  it('no counter goes down', () => {
    const attempts = reconciled(snapshot(1, [1]), [guard(1, 1, 1, 2), guard(2, 1, 1)]);
    expect(pointsOf(attempts)).toEqual([1, 2]);
    expect(attempts?.incarnation).toBe(2n);
  });

  it('what any guard counted is used up, also where two guards have another point under one number', () => {
    const attempts = reconciled(snapshot(1, []), [guard(1, 1, 5, 3), guard(2, 1, 6)]);
    expect(pointsOf(attempts)).toEqual([5, 3, 6]);
    expect(isExhausted(attempts as Attempts)).toBe(true);
  });

  it('a number has the point that most guards have under it', () => {
    const attempts = reconciled(snapshot(1, []), [guard(1, 1, 1), guard(2, 1, 2), guard(3, 1, 2)]);
    expect(pointsOf(attempts)).toEqual([2, 1]);
  });

  it('whoever shows the same points in another order makes no count shorter, and gets no point in twice', () => {
    const attempts = reconciled(snapshot(1, []), [guard(1, 1, 1, 2, 3), guard(2, 1, 3, 1, 2)]);
    expect(new Set(pointsOf(attempts))).toEqual(new Set([1, 2, 3]));
    expect(attempts?.points).toHaveLength(3);
  });

  it('no count goes beyond the limit', () => {
    const attempts = reconciled(snapshot(1, []), [guard(1, 1, 1, 2, 3), guard(2, 1, 4, 5, 6)]);
    expect(attempts?.points).toHaveLength(3);
  });

  it('a point that was paid for stays free, with the grant that shows it', () => {
    const attempts = reconciled(snapshot(1, []), [guard(1, 1, 1, 2), guard(2, 1)]);
    expect(spend(attempts, fill(1, 16), granted(2), 9)).toMatchObject({ next: undefined, attempt: 2, lower: [renderPoint(granted(1))] });
    expect(spend(attempts, fill(1, 16), granted(3), 9).attempt).toBe(3);
  });

  it('no older code comes back: the later generation of any guard wins', () => {
    const attempts = reconciled(snapshot(1, [1]), [guard(1, 2), { ...guard(2, 1, 1), prepared: [generation(2, 2)] }]);
    expect(attempts?.g).toEqual(fill(2, 16));
    expect(attempts?.points).toEqual([]);
    expect(attempts?.bodyHash).toEqual(generation(2, 1).bodyHash);
    expect(attempts?.holders).toEqual([1, 2]); // of those of the earlier one, none counts
  });

  it('what was enrolled after an earlier restore is later than all from before it, whatever the numbers', () => {
    const anew = (index: number): Recalled => ({ ...guard(index, 2), live: generation(2, index, 2n) });
    const attempts = reconciled(snapshot(5, []), [guard(1, 5), anew(2), anew(3)]);
    expect(attempts).toMatchObject({ g: fill(2, 16), number: 2n, epoch: 2n });
  });

  it('a record that etcd forgot is rebuilt from the guards, prepared holders included', () => {
    const late = { ...empty(2), prepared: [generation(1, 2)] };
    const attempts = reconciled(undefined, [guard(1, 1, 1), late]);
    expect(pointsOf(attempts)).toEqual([1]);
    expect(attempts?.holders).toEqual([1, 2]);
  });

  it('a record that nobody knows stays unknown', () => {
    expect(reconciled(undefined, [empty(1), empty(2)])).toBeUndefined();
  });

  it('a record that the guards dropped is erased, not revived', () => {
    const attempts = reconciled(snapshot(1, [1, 2, 3]), [empty(1), empty(2)]);
    expect(attempts).toMatchObject({ state: RecordState.ERASED, points: [], number: 1n, epoch: 1n });
  });

  it('an erased record stays erased where a guard missed it', () => {
    expect(reconciled(snapshot(1, [], RecordState.ERASED), [guard(1, 1), empty(2)])?.state).toBe(RecordState.ERASED);
  });

  it('a record that was enrolled after its erasure is live', () => {
    expect(reconciled(snapshot(1, [], RecordState.ERASED), [guard(1, 2), guard(3, 2)])?.state).toBe(RecordState.LIVE);
  });

  it('where fewer than t of those asked hold the latest, and the others may, they must be asked', () => {
    expect(() => reconciled(snapshot(1, []), [guard(1, 2), guard(2, 1)])).toThrow(expect.objectContaining({ code: 'NOT_ENOUGH_REPLICAS' }));
    expect(() => reconciled(snapshot(1, []), [guard(1, 1), empty(2)])).toThrow(expect.objectContaining({ code: 'NOT_ENOUGH_REPLICAS' }));
  });

  it('one that serves what t cannot hold any more holds up nobody, although one of five is away', () => {
    const five = [guard(1, 2), guard(2, 1, 1), guard(3, 1), guard(4, 1)];
    const attempts = reconcile(snapshot(1, []), five, { ...options, terms: termsOf(5) });
    expect(attempts).toMatchObject({ g: fill(1, 16), number: 1n });
  });

  it('where fewer than t of all hold the latest, the latest that t hold stands', () => {
    const attempts = reconciled(snapshot(1, []), [guard(1, 2), guard(2, 1, 1), guard(3, 1)]);
    expect(attempts?.g).toEqual(fill(1, 16));
    expect(pointsOf(attempts)).toEqual([1]);
    expect(attempts?.holders).toEqual([1, 2, 3]); // the first by what etcd had of the same body
  });

  it('a record of which t guards hold no generation is erased: it can never be served', () => {
    const attempts = reconciled(snapshot(1, []), [guard(1, 2), empty(2), empty(3)]);
    expect(attempts).toMatchObject({ state: RecordState.ERASED, g: fill(2, 16), number: 2n });
  });

  it('a tombstone of a history that was given up does not outrank what was enrolled after it', () => {
    const guards = [1, 2].map((index): Recalled => ({ ...guard(index, 1), live: generation(1, index, 2n) }));
    const attempts = reconciled(snapshot(3, [], RecordState.ERASED), guards);
    expect(attempts).toMatchObject({ state: RecordState.LIVE, number: 1n, epoch: 2n });
  });
});

describe('guards agree', () => {
  it('where one of them lacks what the others counted', () => {
    expect(isAgreed([guard(1, 1, 4, 5), guard(2, 1, 4), guard(3, 1)])).toBe(true);
  });

  it('but not where two of them counted different points as one attempt, at whatever place', () => {
    expect(isAgreed([guard(1, 1, 4, 5), guard(2, 1, 4, 6)])).toBe(false);
    expect(isAgreed([guard(1, 1), guard(2, 1, 4), guard(3, 1, 5)])).toBe(false);
  });
});

describe('a point whose number guards refused', () => {
  const terms = { limit: 5, threshold: 2 };
  /** Where point 9 may go, and what etcd has then. */
  const places = (points: number[], ...guards: Recalled[]) =>
    placesFor(granted(9), points.map(granted), guards, terms).map((place) => [
      place.attempt,
      place.points.map(({ pointHash: [first] }) => first),
    ]);

  it('comes after all others, in the order that guards have together: what etcd alone has is the last of these', () => {
    expect(places([3, 9], guard(1, 1, 1), guard(2, 1, 1, 2))).toEqual([[4, [1, 2, 3, 9]]]);
    expect(places([9, 2, 1], guard(1, 1, 1), guard(2, 1, 1))).toEqual([[3, [1, 2, 9]]]);
  });

  it('goes where t have it, whatever another one says', () => {
    expect(places([1, 9], guard(1, 1, 9, 2), guard(2, 1, 9), guard(3, 1, 1, 9))).toEqual([[1, [9, 2, 1]]]);
  });

  it('may go where one has it, after that place was found worse; and nobody else loses a number', () => {
    expect(places([], guard(1, 1, 9, 2), guard(2, 1, 1, 2), guard(3, 1, 1, 2))).toEqual([
      [3, [1, 2, 9]],
      [1, [9, 2, 1]],
    ]);
  });

  it('is pinned by nobody to a number that would be reached by a gap', () => {
    const liar: Recalled = { ...guard(3, 1), counted: new Map([[5, { ...granted(9), atMs: 1 }]]) };
    expect(places([], guard(1, 1, 1), guard(2, 1, 1), liar)).toEqual([[2, [1, 9]]]);
  });

  it('has no place where others use up all numbers, and none beyond the limit where one has it', () => {
    expect(places([1, 2, 3, 4, 5], guard(1, 1, 1, 2), guard(2, 1, 1))).toEqual([]);
    expect(places([1, 2, 3, 4, 5], guard(1, 1, 1, 9), guard(2, 1, 1))).toEqual([[2, [1, 9, 3, 4, 5]]]);
  });

  it('leaves alone the number that t have another point under, though a liar is one of two that name it', () => {
    const attempts = reconciled(snapshot(1, []), [guard(1, 1, 2), guard(2, 1, 2, 3), guard(3, 1, 3, 2)]);
    expect(pointsOf(attempts)).toEqual([2, 3]);
  });
});

describe('an order of attempts that is put right', () => {
  const seen = snapshot(1, [7, 4]);
  const points = [1, 4].map(granted);

  it('keeps what was spent meanwhile, drops what was seen and is not wanted, and keeps the latest time', () => {
    const current = snapshot(1, [7, 4, 5]);
    const next = reordered(current, points, seen, [guard(1, 1, 1), guard(2, 1, 8)]);
    expect(pointsOf(next)).toEqual([1, 4, 5]);
    expect(next.lastAttemptMs).toBe(8n);
  });

  it('never goes beyond the limit', () => {
    expect(pointsOf(reordered(snapshot(1, [7, 5, 6]), points, seen, []))).toEqual([1, 4, 5]);
  });
});
