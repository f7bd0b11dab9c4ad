import { expect, test } from 'vitest';
import { SoftFleet } from '../test/harness/soft-fleet.ts';
import { encodeStatement, operatorsOf, parseStatement } from './statement.ts';

// Whoever wants t keys asks the operators who run the most replicas.
test.each<[number, string, number]>([
  [2, 'aaa', 1],
  [2, 'aab', 1],
  [2, 'abc', 2],
  [3, 'abcd', 3],
  [3, 'aabbc', 2],
  [3, 'abcde', 3],
  [3, 'aaabc', 1],
  [4, 'aaabc', 2],
  [5, 'aaabbbccc', 2],
  [7, 'aaabbbccc', 3],
  [3, 'abbac', 2],
])('any %i of %s are of %i operators at least', (threshold, operators, expected) => {
  const { statement } = new SoftFleet({ replicas: operators.length, threshold, operators: [...operators] });
  expect(operatorsOf(statement)).toBe(expected);
});

test('an operator is named as a replica is', () => {
  const { document } = new SoftFleet().statement;
  const named = (operator: string | undefined) =>
    encodeStatement({ ...document, replicas: document.replicas.map((replica) => ({ ...replica, operator }) as typeof replica) });
  expect(parseStatement(named('west.example-1')).replicas[0]?.operator).toBe('west.example-1');
  for (const operator of [undefined, '', 'West', '-west', 'a b', 'é', 'x'.repeat(64)])
    expect(() => parseStatement(named(operator)), operator).toThrow(
      expect.objectContaining({ code: 'FLEET_UNTRUSTED', details: { check: 'statement-malformed' } }),
    );
});
