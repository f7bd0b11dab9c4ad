import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { CallQueue, type QueuedCall } from './call-queue.ts';

const PATIENCE = 1000;
let queue: CallQueue;

beforeEach(() => {
  vi.useFakeTimers();
  queue = new CallQueue(10, PATIENCE);
});

afterEach(() => vi.useRealTimers());

it('a call is refused when its time is up, and not before', async () => {
  const codes: string[] = [];
  for (let i = 0; i < 2; i++) queue.add('mac', undefined, 0, false).catch(({ code }) => codes.push(code));
  queue.next();
  await vi.advanceTimersByTimeAsync(PATIENCE - 1);
  expect(codes).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(codes).toEqual(['TOKEN_UNAVAILABLE', 'BUSY']);
});

it('a call whose caller was refused meanwhile is not put back', async () => {
  const answer = expect(queue.add('mac', undefined, 0, false)).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' });
  const call = queue.next() as QueuedCall;
  await vi.advanceTimersByTimeAsync(PATIENCE);
  await answer;
  queue.putBack(call);
  expect(queue.length).toBe(0);
});
