import { type ErrorCode, VaultError } from '../../../primitives/errors.ts';
import type { TokenFault } from '../../../protocol/token-fault.ts';
import { WorkerFailure } from './messages.ts';

const ofCodes: { readonly [Code in ErrorCode]?: TokenFault } = {
  TOKEN_MISSING: 'absent',
  PIN_REFUSED: 'pin_refused',
  CONFIG_INVALID: 'pin_refused', // the PIN's file: nothing else is read while a replica serves
  KEY_MISSING: 'another',
  STATEMENT_MISMATCH: 'another',
  TOKEN_UNFIT: 'unfit',
  GUARD_MISMATCH: 'taken',
};

/** Why the token is not served, from what opening it or a call in it threw. */
export function faultOf(cause: unknown): TokenFault {
  if (cause === 'silent') return 'silent';
  const error = cause instanceof WorkerFailure ? cause.error : cause;
  const meaning = cause instanceof WorkerFailure ? cause.meaning : undefined;
  if (meaning === 'gone') return 'absent';
  if (meaning === 'login') return 'logged_out';
  return (error instanceof VaultError && ofCodes[error.code]) || 'failing';
}
