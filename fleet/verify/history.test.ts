import { describe, expect, test } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
import type { Statement } from '../../protocol/statement.ts';
import { earlierAfter } from '../../protocol/terms.ts';
import { softStatement } from '../../test/harness/test-witness.ts';
import { expectNext, readHistory } from './history.ts';

const first = softStatement();
const second = softStatement(first);
const third = softStatement(second);
const other = softStatement(undefined, { fleet: 'other' });

const refused = (check: string) => expect.objectContaining({ code: 'FLEET_UNTRUSTED', details: { check } });

test('epochs follow each other, fleet by fleet', () => {
  expect(() => expectNext([], first)).not.toThrow();
  expect(() => expectNext([first, other], second)).not.toThrow();
  expect(() => expectNext([first, second], other)).not.toThrow();
});

test.each([
  ['the same statement', [first, second], second, 'statement-older'],
  ['an older statement', [first, second], first, 'statement-older'],
  ['another statement of the same epoch', [first, second], softStatement(first, { store_incarnation: 2 }), 'statement-older'],
  ['an epoch left out', [first], third, 'epoch-gap'],
  ['a fleet that does not begin with epoch 1', [first], softStatement(other, { fleet: 'third' }), 'epoch-gap'],
  ['another previous statement', [first], softStatement(first, { previous: toHex(other.hash) }), 'previous-mismatch'],
  ['no previous statement', [first], softStatement(first, { previous: null }), 'previous-mismatch'],
  ['a first statement with a previous one', [], softStatement(undefined, { previous: toHex(other.hash) }), 'previous-mismatch'],
  ['no evidence', [first], softStatement(first, { evidence: null }), 'evidence-mismatch'],
  ['the evidence of another', [first], softStatement(first, { evidence: first.document.evidence }), 'evidence-mismatch'],
])('%s is refused', (_what, earlier, next, check) => {
  expect(() => expectNext(earlier, next)).toThrow(refused(check));
});

describe('replicas come and go', () => {
  const { replicas } = first.document;
  const others = softStatement(first).document.replicas.slice(0, 2);
  const added = others.map((replica, i) => ({
    ...replica,
    index: 4 + i,
    name: `replica-${4 + i}`,
    token: { ...replica.token, serial: `${4 + i}` },
  }));
  const five = softStatement(first, { replicas: [...replicas, ...added], threshold: 3, earlier: earlierAfter(first.document, []) });
  const listed = earlierAfter(five.document, []);
  const three = softStatement(five, { replicas, earlier: listed });

  test('and what a statement lists of earlier epochs is what those before it said', () => {
    expect(() => expectNext([first, five], three)).not.toThrow();
    expect(() => expectNext([first, five], softStatement(five, { replicas, earlier: listed.slice(1) }))).not.toThrow(); // epoch 1 is served no more
  });

  test.each<[string, Statement]>([
    ['an earlier threshold is changed', softStatement(five, { replicas, earlier: [{ ...listed[0], threshold: 2, epoch: 2 }] as never })],
    [
      'an earlier replica is left out',
      softStatement(five, { replicas, earlier: [{ ...listed[1], replicas: listed[1]?.replicas.slice(0, 4) }] as never }),
    ],
  ])('%s: refused', (_, next) => {
    expect(() => expectNext([first, five], next)).toThrow(refused('earlier-mismatch'));
  });

  test('an epoch that was listed no more does not come back', () => {
    const ended = softStatement(five, { replicas, earlier: [] });
    expect(() => expectNext([first, five, ended], softStatement(ended, { replicas, earlier: earlierAfter(five.document, []) }))).toThrow(
      refused('earlier-mismatch'),
    );
  });

  test('an index is not given again, whatever is listed', () => {
    const ended = softStatement(five, { replicas, earlier: [] });
    const reused = softStatement(ended, { replicas: [...replicas.slice(0, 2), ...added.slice(0, 1)], earlier: [] });
    expect(() => expectNext([first, five, ended], reused)).toThrow(refused('index-reused'));
  });
});

test('a history is read up to its first flaw', () => {
  const read = (...statements: Uint8Array[]) => readHistory(statements, new Map());
  expect(read(first.bytes, other.bytes, second.bytes)).toEqual({ statements: [first, other, second], inForce: [] });
  const flaw = (check: string) => expect.objectContaining({ message: expect.stringMatching(/^Entry 1: /), details: { check } });
  expect(() => read(first.bytes, third.bytes, second.bytes)).toThrow(flaw('epoch-gap'));
  expect(() => read(first.bytes, Uint8Array.of(0x7b))).toThrow(flaw('statement-malformed'));
  expect(() => read(first.bytes, Uint8Array.of(1))).toThrow(flaw('bundle-malformed'));
});
