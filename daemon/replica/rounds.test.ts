import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { systemClock } from '../../primitives/clock.ts';
import { Rounds } from './rounds.ts';

const turn = vi.fn<() => Promise<number>>();
let rounds: Rounds;

beforeEach(() => {
  vi.useFakeTimers();
  vi.resetAllMocks();
  rounds = new Rounds(systemClock, turn);
});

afterEach(() => vi.useRealTimers());

it('rests after each turn as long as that turn says', async () => {
  turn.mockResolvedValueOnce(1000).mockResolvedValue(200);
  rounds.start();
  await vi.advanceTimersByTimeAsync(999);
  expect(turn).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(turn).toHaveBeenCalledTimes(2);
  await vi.advanceTimersByTimeAsync(200);
  expect(turn).toHaveBeenCalledTimes(3);
  await rounds.stop();
});

it('stops without waiting for a rest, and takes no turn after that', async () => {
  turn.mockResolvedValue(60_000);
  rounds.start();
  await vi.advanceTimersByTimeAsync(1);
  await rounds.stop(); // no time passes
  await vi.advanceTimersByTimeAsync(120_000);
  expect(turn).toHaveBeenCalledTimes(1);
});

it('waits for the turn under way', async () => {
  turn.mockImplementation(() => systemClock.sleep(500).then(() => 60_000));
  rounds.start();
  let isStopped = false;
  const stopping = rounds.stop().then(() => {
    isStopped = true;
  });
  await vi.advanceTimersByTimeAsync(499);
  expect(isStopped).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await stopping;
});
