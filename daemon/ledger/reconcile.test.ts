import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  type Attempts,
  AttemptsSchema,
  BodySchema,
  ErasureSchema,
  RecordSchema,
  RecordState,
} from '../../proto/gen/backupvault/v1/record_pb.ts';
import { parseBody } from '../../protocol/body.ts';
import { renderSubRecord } from '../../protocol/sub-record.ts';
import { SoftFleet } from '../../test/harness/soft-fleet.ts';
import { enrol, erase, isExhausted, spend } from './attempts.ts';
import type { Generation, Guarded } from './guarded.ts';
import { reconcile, type Stored } from './reconcile.ts';

const fill = (n: number, length: number) => new Uint8Array(length).fill(n);
const point = Uint8Array.of(2, ...fill(1, 32));
const hash = (n: number) => fill(n, 32);

/** Generation n of a record, as replica `index` holds it. */
function generation(n: number, index: number, number = n): Generation {
  const shares = [1, 2, 3].map((i) => ({ index: i, x: i, mask: hash(0), releaseMask: hash(0) }));
  const body = create(BodySchema, {
    ...{ version: 1, fleet: 'test', epoch: 1n, rid: hash(7), g: fill(n, 16), threshold: 2, shares, policy: { limit: 3 } },
    ...{ ownerKey: hash(0), previous: n > 1 ? fill(n - 1, 16) : new Uint8Array(0), payload: fill(0, 60) },
    ...{ proofKey: point, releaseBase: point },
  });
  return {
    ...parseBody(body),
    madeWith: fill(n, 8),
    subRecord: { index, seed: hash(n), enrolledAtMs: 0n, mac: hash(n), signature: fill(n, 64) },
    number: BigInt(number),
  };
}

/** A guard with generation n live and these points counted, by attempt. */
const guard = (index: number, n: number, counted: Record<number, number> = {}): Guarded => ({
  live: generation(n, index),
  prepared: [],
  destroyed: undefined,
  counted: new Map(Object.entries(counted).map(([k, h]) => [Number(k), { pointHash: hash(h), atMs: h }])),
});
const empty: Guarded = { live: undefined, prepared: [], counted: new Map(), destroyed: undefined };

/** What etcd was put back to: generation n with these points. */
function snapshot(n: number, points: number[], state = RecordState.LIVE): Stored {
  const { body, bodyHash } = generation(n, 1);
  const attempts = create(AttemptsSchema, {
    ...{ incarnation: 1n, g: body.g, bodyHash, limit: 3, points: points.map(hash), state, number: BigInt(n) },
  });
  return {
    attempts,
    record: create(RecordSchema, { body, subRecords: [1, 2, 3].map((i) => renderSubRecord(generation(n, i).subRecord)) }),
  };
}
const nothing: Stored = { attempts: undefined, record: undefined };

const BEFORE = 1n << 32n; // no number of the first incarnation is above it
const { terms } = new SoftFleet().statement;
const options = { incarnation: 2, terms, isComplete: false };
const reconciled = (stored: Stored, recalled: Guarded[], isComplete = false) => reconcile(stored, recalled, { ...options, isComplete });
const pointsOf = (attempts: Attempts | undefined) => attempts?.points.map((p) => p[0]);

describe('after a restore of etcd', () => {
  it('no counter goes down', () => {
    const { attempts } = reconciled(snapshot(1, [1]), [guard(1, 1, { 1: 1, 2: 2 }), guard(2, 1, { 1: 1 })]) ?? nothing;
    expect(pointsOf(attempts)).toEqual([1, 2]);
    expect(attempts?.incarnation).toBe(2n);
  });

  it('what any guard counted is used up, even where the point is not known or not agreed', () => {
    const { attempts } = reconciled(snapshot(1, []), [guard(1, 1, { 1: 5, 3: 3 }), guard(2, 1, { 1: 6 })]) ?? nothing;
    expect(pointsOf(attempts)).toEqual([0, 0, 3]);
    expect(isExhausted(attempts as Attempts)).toBe(true);
  });

  it('a point that was paid for stays free, and burnt attempts are nobody’s', () => {
    const { attempts } = reconciled(snapshot(1, []), [guard(1, 1, { 2: 2 }), guard(2, 1)]) ?? nothing;
    expect(spend(attempts, fill(1, 16), hash(2), 9)).toEqual({ next: undefined, attempt: 2 });
    expect(spend(attempts, fill(1, 16), hash(1), 9).attempt).toBe(3);
  });

  it('no older code comes back: the later generation of any guard wins', () => {
    const { attempts, record } =
      reconciled(snapshot(1, [1]), [guard(1, 2), { ...guard(2, 1, { 1: 1 }), prepared: [generation(2, 2, 0)] }]) ?? nothing;
    expect(attempts?.g).toEqual(fill(2, 16));
    expect(attempts?.points).toEqual([]);
    expect(record?.body?.g).toEqual(fill(2, 16));
  });

  it('a record that etcd forgot is rebuilt from the guards, prepared holders included', () => {
    const late: Guarded = { ...empty, prepared: [generation(1, 2, 0)] };
    const { attempts, record } = reconciled(nothing, [guard(1, 1, { 1: 1 }), late]) ?? nothing;
    expect(pointsOf(attempts)).toEqual([1]);
    expect(record?.subRecords.map(({ index }) => index)).toEqual([1, 2]);
  });

  it('a record that nobody knows stays unknown', () => {
    expect(reconciled(nothing, [empty, empty])).toBeUndefined();
  });

  it('a record that the guards dropped is erased, not revived', () => {
    const { attempts, record } = reconciled(snapshot(1, [1, 2, 3]), [empty, empty]) ?? nothing;
    expect(attempts?.state).toBe(RecordState.ERASED);
    expect(record).toBeUndefined();
  });

  it('an erased record stays erased where a guard missed it', () => {
    expect(reconciled(snapshot(1, [], RecordState.ERASED), [guard(1, 1), empty])?.attempts?.state).toBe(RecordState.ERASED);
  });

  it('a record that was enrolled after its erasure is live', () => {
    expect(reconciled(snapshot(1, [], RecordState.ERASED), [guard(1, 2), guard(3, 2)])?.attempts?.state).toBe(RecordState.LIVE);
  });

  it('where fewer than t of those asked hold the latest, the others must be asked', () => {
    expect(() => reconciled(snapshot(1, []), [guard(1, 2), guard(2, 1)])).toThrow(expect.objectContaining({ code: 'NOT_ENOUGH_REPLICAS' }));
    expect(() => reconciled(snapshot(1, []), [guard(1, 1), empty])).toThrow(expect.objectContaining({ code: 'NOT_ENOUGH_REPLICAS' }));
  });

  it('where fewer than t of all hold the latest, the latest that t hold stands', () => {
    const { attempts, record } = reconciled(snapshot(1, []), [guard(1, 2), guard(2, 1, { 1: 1 }), guard(3, 1)], true) ?? nothing;
    expect(attempts?.g).toEqual(fill(1, 16));
    expect(pointsOf(attempts)).toEqual([1]);
    expect(attempts?.number).toBe(BEFORE + 1n);
    expect(record?.subRecords.map(({ index }) => index)).toEqual([1, 2, 3]);
  });

  it('a record of which t guards hold no generation is erased: it can never be served', () => {
    expect(reconciled(snapshot(1, []), [guard(1, 1), empty, empty], true)?.attempts?.state).toBe(RecordState.ERASED);
  });

  it('numbers go on from the highest that was seen', () => {
    expect(reconciled(snapshot(5, []), [guard(1, 2), guard(2, 2)])?.attempts?.number).toBe(BEFORE + 1n);
    const later = { ...snapshot(1, []), attempts: create(AttemptsSchema, { number: BEFORE + 7n }) };
    const tombstone = erase(reconciled(later, [guard(1, 4), guard(2, 4)])?.attempts, fill(4, 16), create(ErasureSchema)).next;
    expect(tombstone?.number).toBe(BEFORE + 8n);
  });

  it('a tombstone of a history that was given up does not outrank what was enrolled after it', () => {
    const { body, bodyHash } = generation(4, 1);
    const after = enrol(undefined, { body: { ...body, previous: new Uint8Array(0) }, bodyHash }, 2).next;
    const guards = [1, 2].map((index): Guarded => ({ ...guard(index, 4), live: generation(4, index, Number(after?.number)) }));
    const { attempts } = reconcile(snapshot(3, [], RecordState.ERASED), guards, { ...options, incarnation: 3 }) ?? nothing;
    expect(attempts?.state).toBe(RecordState.LIVE);
    expect(attempts?.number).toBeGreaterThan(after?.number as bigint);
  });
});
