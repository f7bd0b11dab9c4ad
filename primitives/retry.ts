import type { Millis } from './brand.ts';
import type { Clock } from './clock.ts';

export interface RetryPolicy {
  /** Pauses between tries: there is one try more than pauses. Each is stretched at random by up to half, so that crowds spread. */
  readonly pauses: readonly Millis[];
  /** What is worth another try. */
  readonly again: (error: unknown) => boolean;
}

/** The result of the first try that succeeds, else the last error. Only for operations that may happen twice. */
export async function retry<T>(operation: () => Promise<T>, policy: RetryPolicy, clock: Clock): Promise<T> {
  for (const pause of policy.pauses) {
    try {
      return await operation();
    } catch (error) {
      if (!policy.again(error)) throw error;
    }
    await clock.sleep(pause * (1 + Math.random() / 2));
  }
  return operation();
}
