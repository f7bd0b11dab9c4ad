import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { type Attempts, AttemptsSchema, BodySchema, RecordSchema, RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import { renderSubRecord } from '../../protocol/sub-record.ts';
import type { Terms } from '../../protocol/terms.ts';
import { isExhausted, spend } from './attempts.ts';
import { type Generation, type Recalled, renderPoint } from './guarded.ts';
import { isAgreed, reconcile, reordered, type Stored } from './reconcile.ts';

const fill = (n: number, length: number) => new Uint8Array(length).fill(n);
const point = Uint8Array.of(2, ...fill(1, 32));
const hash = (n: number) => fill(n, 32);

/** Generation n of a record, as replica `index` holds it. */
function generation(n: number, index: number, epoch = 1n): Generation {
  const shares = [1, 2, 3].map((i) => ({ index: i, x: i, mask: hash(0), releaseMask: hash(0) }));
  const body = create(BodySchema, {
    ...{ version: 1, fleet: 'test', epoch, rid: hash(7), g: fill(n, 16), threshold: 2, shares, policy: { limit: 3 } },
    ...{ ownerKey: hash(0), previous: n > 1 ? fill(n - 1, 16) : new Uint8Array(0), payload: fill(0, 60) },
    ...{ proofKey: point, releaseBase: point, number: BigInt(n), line: fill(1, 16) },
  });
  return {
    ...parseBody(body),
    madeWith: fill(n, 8),
    prepared: [],
    subRecord: { index, seed: hash(n), enrolledAtMs: 0n, mac: hash(n), signature: fill(n, 64) },
  };
}

const granted = (h: number) => ({ pointHash: hash(h), grant: `granted ${h}` });

/** A guard with generation n live and these points counted, by attempt. */
const guard = (index: number, n: number, ...points: number[]): Recalled => ({
  index,
  live: generation(n, index),
  prepared: [],
  destroyed: [],
  counted: new Map(points.map((h, i) => [i + 1, { ...granted(h), atMs: h }])),
});
/** One that holds nothing. */
const empty = (index: number): Recalled => ({ index, live: undefined, prepared: [], counted: new Map(), destroyed: [] });

/** What etcd was put back to: generation n with these points. */
function snapshot(n: number, points: number[], state = RecordState.LIVE, epoch = 1n): Stored {
  const { body, bodyHash } = generation(n, 1, epoch);
  const attempts = create(AttemptsSchema, {
    ...{ incarnation: 1n, g: body.g, bodyHash, limit: 3, points: points.map((h) => renderPoint(granted(h))), state },
    ...{ number: BigInt(n), epoch, line: fill(1, 16) },
  });
  return {
    attempts,
    record: create(RecordSchema, { body, subRecords: [1, 2, 3].map((i) => renderSubRecord(generation(n, i).subRecord)) }),
  };
}
const nothing: Stored = { attempts: undefined, record: undefined };

/** Of n replicas in epochs 1 and 2. */
function termsOf(n: number): ReadonlyMap<number, Terms> {
  const indices = new Set(Array.from({ length: n }, (_, i) => i + 1));
  return new Map([1, 2].map((epoch) => [epoch, { epoch, threshold: Math.floor(n / 2) + 1, indices, remaining: indices }]));
}
const options = { incarnation: 2, terms: termsOf(3) };
const reconciled = (stored: Stored, recalled: Recalled[]) => reconcile(stored, recalled, options);
const pointsOf = (attempts: Attempts | undefined) => attempts?.points.map(({ hash: [first] }) => first);

describe('after a restore of etcd', () => {
  it('no counter goes down', () => {
    const { attempts } = reconciled(snapshot(1, [1]), [guard(1, 1, 1, 2), guard(2, 1, 1)]) ?? nothing;
    expect(pointsOf(attempts)).toEqual([1, 2]);
    expect(attempts?.incarnation).toBe(2n);
  });

  it('what any guard counted is used up, also where two guards have another point under one number', () => {
    const { attempts } = reconciled(snapshot(1, []), [guard(1, 1, 5, 3), guard(2, 1, 6)]) ?? nothing;
    expect(pointsOf(attempts)).toEqual([5, 3, 6]);
    expect(isExhausted(attempts as Attempts)).toBe(true);
  });

  it('a number has the point that most guards have under it', () => {
    const { attempts } = reconciled(snapshot(1, []), [guard(1, 1, 1), guard(2, 1, 2), guard(3, 1, 2)]) ?? nothing;
    expect(pointsOf(attempts)).toEqual([2, 1]);
  });

  it('whoever shows the same points in another order makes no count shorter, and gets no point in twice', () => {
    const { attempts } = reconciled(snapshot(1, []), [guard(1, 1, 1, 2, 3), guard(2, 1, 3, 1, 2)]) ?? nothing;
    expect(new Set(pointsOf(attempts))).toEqual(new Set([1, 2, 3]));
    expect(attempts?.points).toHaveLength(3);
  });

  it('no count goes beyond the limit', () => {
    const { attempts } = reconciled(snapshot(1, []), [guard(1, 1, 1, 2, 3), guard(2, 1, 4, 5, 6)]) ?? nothing;
    expect(attempts?.points).toHaveLength(3);
  });

  it('a point that was paid for stays free, with the grant that shows it', () => {
    const { attempts } = reconciled(snapshot(1, []), [guard(1, 1, 1, 2), guard(2, 1)]) ?? nothing;
    expect(spend(attempts, fill(1, 16), granted(2), 9)).toMatchObject({ next: undefined, attempt: 2, lower: [renderPoint(granted(1))] });
    expect(spend(attempts, fill(1, 16), granted(3), 9).attempt).toBe(3);
  });

  it('no older code comes back: the later generation of any guard wins', () => {
    const { attempts, record } =
      reconciled(snapshot(1, [1]), [guard(1, 2), { ...guard(2, 1, 1), prepared: [generation(2, 2)] }]) ?? nothing;
    expect(attempts?.g).toEqual(fill(2, 16));
    expect(attempts?.points).toEqual([]);
    expect(record?.body?.g).toEqual(fill(2, 16));
  });

  it('what was enrolled after an earlier restore is later than all from before it, whatever the numbers', () => {
    const anew = (index: number): Recalled => ({ ...guard(index, 2), live: generation(2, index, 2n) });
    const { attempts } = reconciled(snapshot(5, []), [guard(1, 5), anew(2), anew(3)]) ?? nothing;
    expect(attempts).toMatchObject({ g: fill(2, 16), number: 2n, epoch: 2n });
  });

  it('a record that etcd forgot is rebuilt from the guards, prepared holders included', () => {
    const late = { ...empty(2), prepared: [generation(1, 2)] };
    const { attempts, record } = reconciled(nothing, [guard(1, 1, 1), late]) ?? nothing;
    expect(pointsOf(attempts)).toEqual([1]);
    expect(record?.subRecords.map(({ index }) => index)).toEqual([1, 2]);
  });

  it('a record that nobody knows stays unknown', () => {
    expect(reconciled(nothing, [empty(1), empty(2)])).toBeUndefined();
  });

  it('a record that the guards dropped is erased, not revived', () => {
    const { attempts, record } = reconciled(snapshot(1, [1, 2, 3]), [empty(1), empty(2)]) ?? nothing;
    expect(attempts).toMatchObject({ state: RecordState.ERASED, points: [], number: 1n, epoch: 1n });
    expect(record).toBeUndefined();
  });

  it('an erased record stays erased where a guard missed it', () => {
    expect(reconciled(snapshot(1, [], RecordState.ERASED), [guard(1, 1), empty(2)])?.attempts?.state).toBe(RecordState.ERASED);
  });

  it('a record that was enrolled after its erasure is live', () => {
    expect(reconciled(snapshot(1, [], RecordState.ERASED), [guard(1, 2), guard(3, 2)])?.attempts?.state).toBe(RecordState.LIVE);
  });

  it('where fewer than t of those asked hold the latest, and the others may, they must be asked', () => {
    expect(() => reconciled(snapshot(1, []), [guard(1, 2), guard(2, 1)])).toThrow(expect.objectContaining({ code: 'NOT_ENOUGH_REPLICAS' }));
    expect(() => reconciled(snapshot(1, []), [guard(1, 1), empty(2)])).toThrow(expect.objectContaining({ code: 'NOT_ENOUGH_REPLICAS' }));
  });

  it('one that serves what t cannot hold any more holds up nobody, although one of five is away', () => {
    const five = [guard(1, 2), guard(2, 1, 1), guard(3, 1), guard(4, 1)];
    const { attempts } = reconcile(snapshot(1, []), five, { ...options, terms: termsOf(5) }) ?? nothing;
    expect(attempts).toMatchObject({ g: fill(1, 16), number: 1n });
  });

  it('where fewer than t of all hold the latest, the latest that t hold stands', () => {
    const { attempts, record } = reconciled(snapshot(1, []), [guard(1, 2), guard(2, 1, 1), guard(3, 1)]) ?? nothing;
    expect(attempts?.g).toEqual(fill(1, 16));
    expect(pointsOf(attempts)).toEqual([1]);
    expect(record?.subRecords.map(({ index }) => index)).toEqual([1, 2, 3]);
  });

  it('a record of which t guards hold no generation is erased: it can never be served', () => {
    const { attempts } = reconciled(snapshot(1, []), [guard(1, 2), empty(2), empty(3)]) ?? nothing;
    expect(attempts).toMatchObject({ state: RecordState.ERASED, g: fill(2, 16), number: 2n });
  });

  it('a tombstone of a history that was given up does not outrank what was enrolled after it', () => {
    const guards = [1, 2].map((index): Recalled => ({ ...guard(index, 1), live: generation(1, index, 2n) }));
    const { attempts } = reconciled(snapshot(3, [], RecordState.ERASED), guards) ?? nothing;
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

describe('an order of attempts that guards do not have', () => {
  const order = (points: number[], ...guards: Recalled[]) => {
    const { attempts } = snapshot(1, points);
    return pointsOf(reordered(attempts as Attempts, guards));
  };

  it('becomes theirs, and what etcd alone has comes after it', () => {
    expect(order([3], guard(1, 1, 1), guard(2, 1, 1, 2))).toEqual([1, 2, 3]);
    expect(order([2, 1], guard(1, 1, 1), guard(2, 1, 1))).toEqual([1, 2]);
  });

  it('is left alone where they have no other one', () => {
    expect(order([1, 2], guard(1, 1, 1), guard(2, 1))).toBeUndefined();
    expect(order([1, 2], guard(1, 2, 3), empty(2))).toBeUndefined(); // of another generation
  });

  it('never goes beyond the limit, and keeps the latest time', () => {
    const { attempts } = snapshot(1, [4]);
    const next = reordered(attempts as Attempts, [guard(1, 1, 1, 2, 3)]);
    expect(pointsOf(next)).toEqual([1, 2, 3]);
    expect(next?.lastAttemptMs).toBe(3n);
  });
});
