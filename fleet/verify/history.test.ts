import { expect, test } from 'vitest';
import { toHex } from '../../primitives/bytes.ts';
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
  ['another statement of the same epoch', [first, second], softStatement(first, { threshold: 3 }), 'statement-older'],
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

test('a history is read up to its first flaw', () => {
  const read = (...statements: Uint8Array[]) => readHistory(statements, new Map());
  expect(read(first.bytes, other.bytes, second.bytes)).toEqual({ statements: [first, other, second], inForce: [] });
  const flaw = (check: string) => expect.objectContaining({ message: expect.stringMatching(/^Entry 1: /), details: { check } });
  expect(() => read(first.bytes, third.bytes, second.bytes)).toThrow(flaw('epoch-gap'));
  expect(() => read(first.bytes, Uint8Array.of(0x7b))).toThrow(flaw('statement-malformed'));
  expect(() => read(first.bytes, Uint8Array.of(1))).toThrow(flaw('bundle-malformed'));
});
