import { expect, test } from 'vitest';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { SoftReplica } from '../test/harness/soft-replica.ts';
import { encodeStatement, parseStatement, type Statement, type StatementDocument } from './statement.ts';
import { destructionBy, earlierAfter, leastThreshold, meeting, meetsEveryEpoch, termsOf } from './terms.ts';

const entries = new Map<number, StatementDocument['replicas'][number]>();
const entryOf = (index: number) => {
  const entry = entries.get(index) ?? new SoftReplica(index, 'test').entry();
  entries.set(index, entry);
  return entry;
};

const first = new SoftFleet().statement.document;

/** The statement after `last`, or the first, of these replicas. */
function next(last: Statement | undefined, indices: readonly number[], threshold: number, dropped: number[] = []): Statement {
  const earlier = last ? earlierAfter(last.document, dropped) : [];
  return parseStatement(encodeStatement({ ...first, epoch: (last?.epoch ?? 0) + 1, threshold, replicas: indices.map(entryOf), earlier }));
}

const three = next(undefined, [1, 2, 3], 2);
const five = next(three, [1, 2, 3, 4, 5], 3);
const again = next(five, [1, 2, 3], 2);
const set = (...indices: number[]) => new Set(indices);

test('a record goes by the terms of its epoch, whatever is in force', () => {
  expect(termsOf(again, 1n)).toEqual({ epoch: 1, threshold: 2, indices: set(1, 2, 3), remaining: set(1, 2, 3) });
  expect(termsOf(again, 2n)).toEqual({ epoch: 2, threshold: 3, indices: set(1, 2, 3, 4, 5), remaining: set(1, 2, 3) });
  expect(termsOf(again, 3n)).toEqual({ epoch: 3, threshold: 2, indices: set(1, 2, 3), remaining: set(1, 2, 3) });
  expect(meeting(termsOf(again, 2n))).toBe(3);
});

test.each<[string, Statement, number[], string]>([
  ['one of three', three, [1], 'too few'],
  ['two of three', three, [1, 3], 'not served, if none of these lies'],
  ['all three', three, [1, 2, 3], 'destroyed'],
  ['two of five, of which a first epoch had three', five, [1, 2], 'too few'],
  ['three of five, one of them of the first', five, [3, 4, 5], 'too few'],
  ['three of five', five, [1, 2, 5], 'not served, if none of these lies'],
  ['four of five', five, [1, 2, 3, 4], 'not served, if none of these lies'],
  ['all five', five, [1, 2, 3, 4, 5], 'destroyed'],
  ['all three, where five were', again, [1, 2, 3], 'not served, if none of these lies'],
  ['all three, once the epoch of five is ended', next(again, [1, 2, 3], 2, [2]), [1, 2, 3], 'destroyed'],
])('what follows where %s say that they destroyed it', (_, statement, by, reached) => {
  expect(destructionBy(statement, new Set(by))).toBe(reached);
});

test('an epoch that is listed no more is served no more, nor is one to come', () => {
  const without = next(five, [1, 2, 3], 2, [1]);
  for (const epoch of [0n, 1n, 4n, 2n ** 63n])
    expect(() => termsOf(without, epoch), `epoch ${epoch}`).toThrow(expect.objectContaining({ code: 'GENERATION_UNKNOWN' }));
  expect(termsOf(without, 2n).threshold).toBe(3);
});

test('a replica with another receipt key holds nothing of before', () => {
  const replaced = new SoftReplica(3, 'test').entry();
  const document = { ...first, epoch: 2, replicas: [entryOf(1), entryOf(2), replaced], earlier: earlierAfter(three.document, []) };
  const statement = parseStatement(encodeStatement(document));
  expect([...termsOf(statement, 1n).remaining]).toEqual([1, 2]);
  expect([...termsOf(statement, 2n).remaining]).toEqual([1, 2, 3]);
  expect(meetsEveryEpoch(statement, set(2, 3), set(1, 2, 3))).toBe(false); // what 1 and the old 3 counted
  expect(meetsEveryEpoch(statement, set(1, 2), set(1, 2, 3))).toBe(true);
});

test('n−t+1 of every epoch must answer', () => {
  expect(meetsEveryEpoch(five, set(3, 4, 5), set(1, 2, 3, 4, 5))).toBe(false); // of epoch 1 it takes two
  expect(meetsEveryEpoch(five, set(2, 3, 4), set(1, 2, 3, 4, 5))).toBe(true);
  expect(meetsEveryEpoch(again, set(1, 2), set(1, 2, 3))).toBe(false); // of epoch 2 it takes three
  expect(meetsEveryEpoch(again, set(1, 2), set(1, 2))).toBe(true); // replica 3 lost its guard: who else could be asked
});

test('of so many as the least t one tells the truth', () => {
  expect([three, five, again].map(leastThreshold)).toEqual([2, 2, 2]);
  expect(leastThreshold(next(three, [1, 2, 3, 4, 5], 3, [1]))).toBe(3);
});

test('indices have gaps, and go above the number of replicas', () => {
  expect(next(again, [1, 3, 17], 2, [2]).replicas.map(({ index }) => index)).toEqual([1, 3, 17]);
});

test.each<[string, string, Partial<StatementDocument>]>([
  ['replicas out of order', 'statement-malformed', { replicas: [2, 1, 3].map(entryOf) }],
  ['an index twice', 'statement-malformed', { replicas: [1, 2, 2].map(entryOf) }],
  ['an index beyond 99', 'statement-malformed', { replicas: [1, 2, 100].map(entryOf) }],
  ['half of the replicas as threshold', 'threshold-not-majority', { threshold: 2, replicas: [1, 2, 3, 4].map(entryOf) }],
  ['all replicas as threshold', 'threshold-of-all', { threshold: 3 }],
  ['more than all replicas as threshold', 'statement-malformed', { threshold: 4 }],
])('%s: refused', (_, check, changes) => {
  expect(() => parseStatement(encodeStatement({ ...three.document, ...changes }))).toThrow(refused(check));
});

const listed = earlierAfter(five.document, []);
const [one, two] = listed as [(typeof listed)[number], (typeof listed)[number]];

test.each<[string, string, StatementDocument['earlier']]>([
  ['an earlier epoch twice', 'statement-malformed', [one, one]],
  ['earlier epochs out of order', 'statement-malformed', [two, one]],
  ['its own epoch as an earlier one', 'statement-malformed', [{ ...one, epoch: 3 }]],
  ['a later epoch as an earlier one', 'statement-malformed', [{ ...one, epoch: 4 }]],
  ['an earlier epoch with half of its replicas as threshold', 'threshold-not-majority', [{ ...two, threshold: 2 }]],
  ['an earlier epoch with all of its replicas as threshold', 'threshold-of-all', [{ ...one, threshold: 3 }]],
  ['an earlier epoch with replicas out of order', 'statement-malformed', [{ ...one, replicas: one.replicas.toReversed() }]],
  ['an earlier epoch of which too few are left', 'epoch-unservable', [{ ...two, threshold: 4 }]],
  [
    'an earlier epoch whose replicas have other keys now',
    'epoch-unservable',
    [{ ...one, replicas: [4, 5, 6].map((other, i) => ({ index: i + 1, receipt_key: entryOf(other).receipt_key })) }],
  ],
  [
    'a receipt key under two indices',
    'duplicate-key',
    [{ ...two, replicas: two.replicas.map((each) => (each.index === 5 ? { ...each, receipt_key: entryOf(1).receipt_key } : each)) }],
  ],
])('%s: refused', (_, check, earlier) => {
  expect(() => parseStatement(encodeStatement({ ...again.document, earlier }))).toThrow(refused(check));
});

test('the index of a replica that left is never given again', () => {
  expect(() => next(again, [1, 2, 3, 4], 3)).toThrow(refused('index-reused'));
  expect(() => next(again, [1, 2, 6], 2, [2])).not.toThrow();
});

const refused = (check: string) => expect.objectContaining({ code: 'FLEET_UNTRUSTED', details: { check } });
