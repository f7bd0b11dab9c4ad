import { systemClock } from '../primitives/clock.ts';
import { type ErrorCode, isVaultError } from '../primitives/errors.ts';
import { retry } from '../primitives/retry.ts';
import { exitCodeOf, isOpen } from './exit-codes.ts';

/** These say when. */
const timed: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['COOLING_DOWN', 'HELD']);

/**
 * Calls again while the outcome is open or the vault is not there, for about half a minute. The client library sends the same bytes
 * as long as this process lives, which spends nothing; the next process cannot.
 */
export const patiently = <T>(operation: () => Promise<T>): Promise<T> =>
  retry(
    operation,
    {
      pauses: [1000, 2000, 4000, 8000],
      again: (error) => isVaultError(error) && !timed.has(error.code) && isOpen(exitCodeOf(error.code)),
    },
    systemClock,
  );
