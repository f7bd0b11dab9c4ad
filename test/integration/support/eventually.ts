import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE } from '../../harness/patience.ts';

/** Asks until the answer is `expected`; then, or at the deadline, returns the last answer. */
export async function eventually<T>(expected: T, ask: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + PATIENCE.timeout;
  for (;;) {
    const answer = await ask();
    if (answer === expected || performance.now() > deadline) return answer;
    await delay(PATIENCE.interval);
  }
}
