import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { type Attempts, ErasureSchema, RecordState } from '../../proto/gen/backupvault/v1/record_pb.ts';
import type { HashedBody } from '../../protocol/body.ts';
import { enrol, erase, eraseForgotten, eraseSpent, isExhausted, notBefore, spend } from './attempts.ts';

const bytes = (fill: number, length = 16) => new Uint8Array(length).fill(fill);
const none = new Uint8Array(0);
const shown = create(ErasureSchema, { grant: 'signed' });
const point = (n: number) => ({ pointHash: bytes(n, 32), grant: `granted ${n}` });

const body = (g: number, previous: Uint8Array, { hash = g, coolDownMs = 0n, limit = 2, line = previous.length > 0 ? 1 : g } = {}) =>
  ({
    body: { g: bytes(g), previous, number: BigInt(g), epoch: 1n, line: bytes(line), policy: { limit, coolDownMs } },
    bodyHash: bytes(hash, 32),
  }) as unknown as HashedBody;

const enrolled = (options = {}): Attempts => enrol(undefined, body(1, none, options), { incarnation: 1, holders: [1, 2] }).next as Attempts;
const spent = (attempts: Attempts, n: number, now = 0): Attempts => spend(attempts, attempts.g, point(n), now).next as Attempts;
const code = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'no error';
};

describe('ENROL', () => {
  it('starts with no attempt spent', () => {
    expect(enrolled()).toMatchObject({ points: [], limit: 2, state: RecordState.LIVE, incarnation: 1n });
  });

  it('is done already when the same body comes again, and keeps the counter', () => {
    expect(enrol(spent(enrolled(), 1), body(1, none), { incarnation: 1, holders: [1, 2] }).next).toBeUndefined();
  });

  it('refuses the same g with another body', () => {
    expect(code(() => enrol(enrolled(), body(1, none, { hash: 9 }), { incarnation: 1, holders: [1, 2] }))).toBe('GENERATION_CONFLICT');
  });

  it('replaces only the generation that it names', () => {
    expect(enrol(enrolled(), body(2, bytes(1)), { incarnation: 1, holders: [1, 2] }).next?.g).toEqual(bytes(2));
    expect(code(() => enrol(enrolled(), body(2, none), { incarnation: 1, holders: [1, 2] }))).toBe('GENERATION_CONFLICT');
    expect(code(() => enrol(undefined, body(2, bytes(1)), { incarnation: 1, holders: [1, 2] }))).toBe('GENERATION_CONFLICT');
  });

  it('numbers generations without a gap', () => {
    expect(enrol(enrolled(), body(2, bytes(1)), { incarnation: 1, holders: [1, 2] }).next).toMatchObject({ number: 2n, epoch: 1n });
    expect(code(() => enrol(enrolled(), body(3, bytes(1)), { incarnation: 1, holders: [1, 2] }))).toBe('GENERATION_CONFLICT');
    expect(code(() => enrol(undefined, body(2, none), { incarnation: 1, holders: [1, 2] }))).toBe('GENERATION_CONFLICT');
  });

  it('adds holders that are heard later, each once and in order, and changes nothing else', () => {
    const current = { ...spent(spent(enrolled({ coolDownMs: 5n }), 1, 7), 2, 20), incarnation: 1n };
    const again = (holders: number[]) => enrol(current, body(1, none, { coolDownMs: 5n }), { incarnation: 4, holders }).next;
    expect(current.holders).toEqual([1, 2]);
    expect(again([12, 3, 2, 3])).toEqual({ ...current, holders: [1, 2, 3, 12] });
    expect(again([1])).toBeUndefined();
    expect(again([])).toBeUndefined(); // none of those that are there goes
    expect(again([2, 1, 2])).toBeUndefined();
  });

  it('adds holders to nothing but what is live, with the same body', () => {
    const late = { incarnation: 1, holders: [3] };
    expect(code(() => enrol(enrolled(), body(1, none, { hash: 9 }), late))).toBe('GENERATION_CONFLICT');
    const erased = erase(enrolled(), bytes(1), shown).next as Attempts;
    expect(code(() => enrol(erased, body(1, none), late))).toBe('GENERATION_CONFLICT');
    const second = enrol(enrolled(), body(2, bytes(1)), late).next as Attempts;
    expect(second.holders).toEqual([3]); // of a new generation those alone that prepared it
    expect(code(() => enrol(second, body(1, none), late))).toBe('GENERATION_CONFLICT');
  });

  it('names each holder once, in order, of a generation that is new', () => {
    expect(enrol(undefined, body(1, none), { incarnation: 1, holders: [12, 3, 1, 3] }).next?.holders).toEqual([1, 3, 12]);
  });

  it('does not bring an old generation back when its enrolment lands late', () => {
    const second = enrol(enrolled(), body(2, bytes(1)), { incarnation: 1, holders: [1, 2] }).next as Attempts;
    expect(code(() => enrol(second, body(1, none), { incarnation: 1, holders: [1, 2] }))).toBe('GENERATION_CONFLICT');
  });

  it('does not bring an erased generation back', () => {
    const erased = erase(enrolled(), bytes(1), shown).next as Attempts;
    expect(code(() => enrol(erased, body(1, none), { incarnation: 1, holders: [1, 2] }))).toBe('GENERATION_CONFLICT');
    expect(enrol(erased, body(2, bytes(1), { line: 2 }), { incarnation: 1, holders: [1, 2] }).next?.state).toBe(RecordState.LIVE);
  });

  it('goes on with the line of what is live, and begins another one over a tombstone', () => {
    expect(enrol(enrolled(), body(2, bytes(1)), { incarnation: 1, holders: [1, 2] }).next?.line).toEqual(bytes(1));
    expect(code(() => enrol(enrolled(), body(2, bytes(1), { line: 2 }), { incarnation: 1, holders: [1, 2] }))).toBe('GENERATION_CONFLICT');
    const erased = erase(enrolled(), bytes(1), shown).next as Attempts;
    expect(code(() => enrol(erased, body(2, bytes(1)), { incarnation: 1, holders: [1, 2] }))).toBe('GENERATION_CONFLICT');
  });
});

describe('SPEND', () => {
  it('numbers distinct points in order, up to the limit', () => {
    const one = spent(enrolled(), 1);
    const two = spent(one, 2);
    expect(spend(one, bytes(1), point(2), 0).attempt).toBe(2);
    expect(two.points).toHaveLength(2);
    expect(isExhausted(two)).toBe(true);
    expect(code(() => spend(two, bytes(1), point(3), 0))).toBe('EXHAUSTED');
  });

  it('gives a point that was paid for its number again, even when everything is spent or cooling down', () => {
    const two = spent(spent(enrolled(), 1), 2);
    expect(spend(two, bytes(1), point(1), 0)).toMatchObject({ next: undefined, attempt: 1 });
    const cooling = spent(enrolled({ coolDownMs: 1000n }), 1, 5);
    expect(spend(cooling, bytes(1), point(1), 6)).toMatchObject({ next: undefined, attempt: 1 });
  });

  it('keeps with each point the grant that paid for it, and hands on those that came before', () => {
    const two = spent(spent(enrolled(), 1), 2);
    const granted = (n: number) => ({ hash: bytes(n, 32), grant: `granted ${n}` });
    expect(two.points).toMatchObject([granted(1), granted(2)]);
    expect(spend(two, bytes(1), point(2), 0).lower).toMatchObject([granted(1)]);
    expect(spend(two, bytes(1), point(1), 0).lower).toEqual([]);
  });

  it('waits for the cool-down', () => {
    const cooling = spent(enrolled({ coolDownMs: 1000n }), 1, 5000);
    expect(code(() => spend(cooling, bytes(1), point(2), 5999))).toBe('COOLING_DOWN');
    expect(spend(cooling, bytes(1), point(2), 6000).attempt).toBe(2);
  });

  it('is not locked by a clock that was ahead', () => {
    const ahead = spent(enrolled({ coolDownMs: 1000n }), 1, 7_200_000);
    expect(spend(ahead, bytes(1), point(2), 0).attempt).toBe(2);
    expect(notBefore(ahead, 7_199_000)).toBe(7_201_000); // by a second: clocks differ so much
  });

  it.each([60n, 1000n, 3_600_000n])('never waits for more than twice the cool-down, of %i ms, whatever the clock was', (coolDownMs) => {
    const ahead = spent(enrolled({ coolDownMs }), 1, 90_000);
    for (let now = 0; now < 90_000; now += 25) expect(notBefore(ahead, now) - now).toBeLessThanOrEqual(2 * Number(coolDownMs));
  });

  it('refuses what is unknown, replaced or erased', () => {
    expect(code(() => spend(undefined, bytes(1), point(1), 0))).toBe('RECORD_UNKNOWN');
    expect(code(() => spend(enrolled(), bytes(2), point(1), 0))).toBe('GENERATION_UNKNOWN');
    const erased = erase(spent(enrolled(), 1), bytes(1), shown).next as Attempts;
    expect(code(() => spend(erased, bytes(1), point(1), 0))).toBe('ERASED');
  });
});

describe('ERASE', () => {
  it('leaves a tombstone that keeps g', () => {
    expect(erase(spent(enrolled(), 1), bytes(1), shown).next).toMatchObject({ g: bytes(1), points: [], state: RecordState.ERASED });
  });

  it('keeps what shows that the generation may go', () => {
    expect(erase(enrolled(), bytes(1), shown).next?.erasure).toEqual(shown);
  });

  it('of what etcd forgot and a guard holds has its number, also over a tombstone of what came before', () => {
    const held = body(2, bytes(1));
    const tombstone = { g: bytes(2), number: 2n, state: RecordState.ERASED, points: [], erasure: shown, incarnation: 7n };
    expect(eraseForgotten(undefined, held, shown, 7).next).toMatchObject(tombstone);
    const before = erase(enrolled(), bytes(1), shown).next as Attempts;
    expect(eraseForgotten(before, held, shown, 7).next).toMatchObject(tombstone);
  });

  it('of what a guard holds takes nothing else that etcd has', () => {
    const later = enrol(enrolled(), body(2, bytes(1)), { incarnation: 1, holders: [1, 2] }).next as Attempts;
    expect(code(() => eraseForgotten(later, body(1, none), shown, 1))).toBe('GENERATION_UNKNOWN');
    expect(code(() => eraseForgotten(enrolled(), body(2, bytes(1)), shown, 1))).toBe('GENERATION_UNKNOWN');
    const erased = erase(later, bytes(2), shown).next as Attempts;
    expect(code(() => eraseForgotten(erased, body(1, none), shown, 1))).toBe('GENERATION_UNKNOWN');
    expect(eraseForgotten(erased, body(2, bytes(1)), shown, 1).next).toBeUndefined();
    expect(eraseForgotten(later, body(2, bytes(1)), shown, 1).next).toMatchObject({ g: bytes(2), state: RecordState.ERASED });
  });

  it('by housekeeping takes only what is exhausted, and not what was enrolled meanwhile', () => {
    const one = spent(enrolled(), 1, 100);
    const two = spent(one, 2, 200);
    expect(eraseSpent(one, bytes(1), shown).next).toBeUndefined();
    expect(eraseSpent(two, bytes(2), shown).next).toBeUndefined();
    expect(eraseSpent(two, bytes(1), shown).next?.state).toBe(RecordState.ERASED);
    expect(eraseSpent(undefined, bytes(1), shown).next).toBeUndefined();
  });
});
