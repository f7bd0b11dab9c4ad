import { expect, test } from 'vitest';
import type { Clock } from './clock.ts';
import { retry } from './retry.ts';

const slept: number[] = [];
const clock: Clock = {
  now: () => 0,
  monotonic: () => 0,
  sleep: async (duration) => {
    slept.push(duration);
  },
};

function failing(times: number, error: unknown) {
  let calls = 0;
  return async () => {
    if (calls++ < times) throw error;
    return calls;
  };
}

test('tries once more than there are pauses, and pauses between', async () => {
  slept.length = 0;
  expect(await retry(failing(2, 'late'), { pauses: [100, 1000], again: () => true }, clock)).toBe(3);
  expect(slept[0]).toBeGreaterThanOrEqual(100);
  expect(slept[0]).toBeLessThan(150);
  expect(slept[1]).toBeGreaterThanOrEqual(1000);
  await expect(retry(failing(3, 'late'), { pauses: [100, 1000], again: () => true }, clock)).rejects.toBe('late');
});

test('does not try again what is not worth it', async () => {
  slept.length = 0;
  await expect(retry(failing(1, 'no'), { pauses: [100], again: (error) => error === 'late' }, clock)).rejects.toBe('no');
  expect(slept).toEqual([]);
});
