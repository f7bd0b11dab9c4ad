import { expect, it } from 'vitest';
import { CallQueue, type QueuedCall } from './call-queue.ts';

it('a call whose caller was refused meanwhile is not put back', async () => {
  const queue = new CallQueue(10, 20);
  const answer = queue.add('mac', undefined, 0, false);
  const call = queue.next() as QueuedCall;
  await expect(answer).rejects.toMatchObject({ code: 'TOKEN_UNAVAILABLE' });
  queue.putBack(call);
  expect(queue.length).toBe(0);
});
