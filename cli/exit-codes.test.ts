import { expect, test } from 'vitest';
import { type ErrorCode, errorCodes } from '../primitives/errors.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';

test('the numbers are an interface: scripts depend on them', () => {
  const table = Object.fromEntries(
    Object.entries(exitCodes).map(([name, number]) => [
      `${number} ${name}`,
      (Object.keys(errorCodes) as ErrorCode[]).filter((code) => exitCodeOf(code) === number),
    ]),
  );
  expect(table).toMatchSnapshot();
});

test('no error looks like success', () => {
  for (const code of Object.keys(errorCodes) as ErrorCode[]) expect(exitCodeOf(code)).not.toBe(exitCodes.OK);
});
