import { expect, test } from 'vitest';
import type { Body } from '../protocol/body.ts';
import { usedOf } from './used.ts';

/** Of a record with so many holders, what those that answered counted. */
const used = (holders: number, threshold: number, attempt: number, ...counted: number[]) => {
  const body = { threshold, shares: Array(holders).fill({}) } as unknown as Body;
  return usedOf({ attempt, body, valid: counted.map((each) => ({ used: each })) });
};

test('what every holder counted is what was used', () => {
  expect(used(3, 2, 3, 3, 3, 3)).toEqual({ attempts: 3, unconfirmed: undefined, isLowerBound: false });
});

test('what t holders counted was used, although the attempt has a lower number', () => {
  expect(used(3, 2, 1, 4, 4, 1)).toMatchObject({ attempts: 4, unconfirmed: undefined });
  expect(used(5, 3, 1, 4, 5, 3, 1, 1)).toMatchObject({ attempts: 3, unconfirmed: 5 });
});

test('t−1 liars raise nothing: what they say is unconfirmed', () => {
  expect(used(3, 2, 2, 9, 2, 2)).toEqual({ attempts: 2, unconfirmed: 9, isLowerBound: false });
  expect(used(5, 3, 2, 9, 8, 2, 2, 2)).toMatchObject({ attempts: 2, unconfirmed: 9 });
});

test('it is a lower bound while a holder did not answer', () => {
  expect(used(3, 2, 2, 2, 2).isLowerBound).toBe(true);
});
