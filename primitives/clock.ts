import type { Millis } from './brand.ts';

/** Time is injected, and no promise rests on it: it serves expiry of tickets and grants, cool-downs and deadlines. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. */
  now(): Millis;
  /** Never goes backwards; its zero is arbitrary. */
  monotonic(): Millis;
  sleep(duration: Millis): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (duration) => new Promise((resolve) => setTimeout(resolve, duration)),
};
