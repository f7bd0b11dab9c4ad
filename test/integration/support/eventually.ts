import { setTimeout as delay } from 'node:timers/promises';
import type { Millis } from '../../../primitives/brand.ts';

const POLL: Millis = 50;
const DEADLINE: Millis = 120_000; // for what never comes: no test depends on how long it takes

/** Asks until the answer is `expected`; then, or at the deadline, returns the last answer. */
export async function eventually<T>(expected: T, ask: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + DEADLINE;
  for (;;) {
    const answer = await ask();
    if (answer === expected || performance.now() > deadline) return answer;
    await delay(POLL);
  }
}
