import { VaultError } from '../../primitives/errors.ts';

// PKCS#11 2.40 §11.1. pkcs11js knows fewer names than tokens have, so values are matched, never names.
export const CKR = {
  ATTRIBUTE_SENSITIVE: 0x11,
  ATTRIBUTE_TYPE_INVALID: 0x12,
  USER_ALREADY_LOGGED_IN: 0x100,
  CRYPTOKI_ALREADY_INITIALIZED: 0x191,
} as const;

/** Of a call for which the token did nothing at all. */
export const sessionGone: readonly number[] = [0xb0, 0xb3, 0x101, 0x190]; // SESSION_CLOSED, SESSION_HANDLE_INVALID, USER_NOT_LOGGED_IN, NOT_INITIALIZED

const unavailable = new Set([
  0x02, // HOST_MEMORY
  0x03, // SLOT_ID_INVALID: slots are numbered anew when a token comes back
  0x30, // DEVICE_ERROR
  0x31, // DEVICE_MEMORY
  0x32, // DEVICE_REMOVED
  0x50, // FUNCTION_CANCELED
  0x60, // KEY_HANDLE_INVALID: handles of an earlier session
  0x82, // OBJECT_HANDLE_INVALID
  0xb0, // SESSION_CLOSED
  0xb1, // SESSION_COUNT
  0xb3, // SESSION_HANDLE_INVALID
  0xe0, // TOKEN_NOT_PRESENT
  0xe1, // TOKEN_NOT_RECOGNIZED
  0xf0, // UNWRAPPING_KEY_HANDLE_INVALID
  0x101, // USER_NOT_LOGGED_IN
  0x113, // WRAPPING_KEY_HANDLE_INVALID
  0x190, // CRYPTOKI_NOT_INITIALIZED
]);

const pinRefused = new Set([
  0xa0, // PIN_INCORRECT
  0xa1, // PIN_INVALID
  0xa2, // PIN_LEN_RANGE
  0xa3, // PIN_EXPIRED
  0xa4, // PIN_LOCKED
  0x102, // USER_PIN_NOT_INITIALIZED
]);

/**
 * The CK_RV behind an error of pkcs11js, or behind ours made of one. Some calls throw Pkcs11Error with `code`, and C_CopyObject,
 * C_CreateObject and C_SetAttributeValue a plain Error whose message is `NAME:number`.
 */
export function returnValue(error: unknown): number | undefined {
  if (error instanceof VaultError) return error.cause === undefined ? undefined : returnValue(error.cause);
  if (!(error instanceof Error)) return undefined;
  if ('code' in error && typeof error.code === 'number' && error.code !== 0) return error.code;
  const digits = /^CKR_\w+:(\d+)/.exec(error.message)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Our error for what `operation` (a function of Cryptoki) threw. It names no argument: arguments are PINs and keys. */
export function tokenError(error: unknown, operation: string): VaultError {
  const value = returnValue(error);
  if (value === undefined)
    return new VaultError('TOKEN_FAULT', `${operation} failed: ${error instanceof Error ? error.message : 'for no stated reason'}.`, {
      cause: error,
    });
  const what = `${operation} answered CKR 0x${value.toString(16)}`;
  if (pinRefused.has(value)) return new VaultError('PIN_REFUSED', `${what}: the PIN is wrong, locked or not set.`, { cause: error });
  if (unavailable.has(value)) return new VaultError('TOKEN_UNAVAILABLE', `${what}: the token or the session is gone.`, { cause: error });
  return new VaultError('TOKEN_FAULT', `${what}.`, { cause: error });
}
