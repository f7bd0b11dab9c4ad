import { expect, test } from 'vitest';
import { VaultError } from '../primitives/errors.ts';
import { capture } from '../test/harness/capture.ts';
import { exitCodes } from './exit-codes.ts';
import { attempts, Output } from './output.ts';

function outputFor(json: boolean) {
  const { written, streams } = capture();
  return { written, output: new Output('bkvctl', json, streams) };
}

const wrongCode = new VaultError('WRONG_CODE', 'The code is wrong; ask again.', { details: { attemptsUsed: 3, attemptsLimit: 10 } });

test('a result is sentences for people and one document for machines', () => {
  const people = outputFor(false);
  people.output.result({ attempt: 1 }, 'It worked.');
  expect(people.written).toEqual({ stdout: 'It worked.\n', stderr: '' });

  const machines = outputFor(true);
  machines.output.step('working');
  machines.output.result({ attempt: 1 }, 'It worked.');
  expect(machines.written.stderr).toBe('');
  expect(JSON.parse(machines.written.stdout)).toEqual({ attempt: 1 });
  expect(machines.output.exitCode).toBe(exitCodes.OK);
});

test('a failure says what to do, the code and the attempts, on stderr', () => {
  const { written, output } = outputFor(false);
  output.failure(wrongCode);
  expect(written).toEqual({
    stdout: '',
    stderr: 'bkvctl: The code is wrong; ask again. [WRONG_CODE]\n  3 of 10 attempts used, 7 left.\n',
  });
  expect(output.exitCode).toBe(exitCodes.WRONG_CODE);
});

test('a failure is one document for machines', () => {
  const { written, output } = outputFor(true);
  output.failure(wrongCode);
  expect(written.stderr).toBe('');
  expect(JSON.parse(written.stdout)).toEqual({
    error: { code: 'WRONG_CODE', message: 'The code is wrong; ask again.', attemptsUsed: 3, attemptsLimit: 10 },
  });
});

test('bad news comes with its result in the same document', () => {
  const { written, output } = outputFor(true);
  output.result({ serving: 1 }, '', new VaultError('NOT_ENOUGH_REPLICAS', 'Too few replicas serve.'));
  expect(JSON.parse(written.stdout)).toEqual({ serving: 1, error: { code: 'NOT_ENOUGH_REPLICAS', message: 'Too few replicas serve.' } });
  expect(output.exitCode).toBe(exitCodes.UNAVAILABLE);
});

test('a foreign error is a fault of the software', () => {
  const { written, output } = outputFor(false);
  output.failure(new TypeError('x is undefined'));
  expect(output.exitCode).toBe(exitCodes.INTERNAL);
  expect(written.stderr).toContain('x is undefined [INTERNAL]');
});

test('attempts in words', () => {
  expect(attempts(0, 10)).toBe('0 of 10 attempts used, 10 left.');
  expect(attempts(10, 10)).toBe('10 of 10 attempts used, 0 left.');
});
