import type { Clock } from '../primitives/clock.ts';
import { type ErrorCode, isVaultError } from '../primitives/errors.ts';
import { type RetryPolicy, retry } from '../primitives/retry.ts';

// Every request of the protocol is idempotent (docs/PROTOCOL.md, P5), so these are safe to answer with the same bytes again.
const repeatable: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'OUTCOME_UNKNOWN',
  'NOT_ENOUGH_REPLICAS',
  'STORE_UNAVAILABLE',
  'RECORD_OUTDATED',
  'TOKEN_UNAVAILABLE',
  'GUARD_FAILING',
  'BUSY',
]);

const policy: RetryPolicy = {
  pauses: [250, 1000, 3000],
  again: (error) => isVaultError(error) && repeatable.has(error.code),
};

/** The SDK's one retry: whatever `operation` sends must be the same bytes each time. */
export const insist = <T>(clock: Clock, operation: () => Promise<T>): Promise<T> => retry(operation, policy, clock);
