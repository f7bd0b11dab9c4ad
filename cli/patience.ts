import { systemClock } from '../primitives/clock.ts';
import { isVaultError } from '../primitives/errors.ts';
import { retry } from '../primitives/retry.ts';
import { exitCodeOf, isOpen } from './exit-codes.ts';

/**
 * Calls again while the outcome is open or the vault is not there, for about half a minute. The client library sends the same bytes
 * as long as this process lives, which spends nothing; the next process cannot.
 */
export const patiently = <T>(operation: () => Promise<T>): Promise<T> =>
  retry(
    operation,
    {
      pauses: [1000, 2000, 4000, 8000],
      again: (error) => isVaultError(error) && error.code !== 'COOLING_DOWN' && isOpen(exitCodeOf(error.code)),
    },
    systemClock,
  );
