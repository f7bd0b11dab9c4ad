import { VaultError } from '../../../primitives/errors.ts';

// PKCS#11 2.40 §11.1. pkcs11js knows fewer names than tokens have, so values are matched, never names.
export const CKR = {
  CANT_LOCK: 0x0a,
  ATTRIBUTE_SENSITIVE: 0x11,
  ATTRIBUTE_TYPE_INVALID: 0x12,
  USER_ALREADY_LOGGED_IN: 0x100,
  USER_NOT_LOGGED_IN: 0x101,
  CRYPTOKI_ALREADY_INITIALIZED: 0x191,
} as const;

/**
 * What a failed call says, and so what is done about it. Transient: `session`, a new session, once, and the same again; `login`, `gone`
 * and `failing`, nothing is served until the token was opened anew (pool.ts). Permanent: `pin`, not tried again with this PIN; `fault`,
 * of this one operation.
 */
export type Meaning = 'session' | 'login' | 'gone' | 'failing' | 'pin' | 'fault';

const STALE = 'handles end with the session, or the login, that they were found in';
const CLOSED = 'closed behind our back, or by an idle timer of the token’s';
const WRONG = 'each further attempt would bring the token nearer to locking';

/** What is not here is `fault`. GENERAL_ERROR and FUNCTION_FAILED are not: tokens answer so to a point off the curve (SoftHSM) as to a lost network. */
export const meanings: ReadonlyMap<number, readonly [name: string, meaning: Meaning, reason: string]> = new Map([
  [0x60, ['KEY_HANDLE_INVALID', 'session', STALE]],
  [0x82, ['OBJECT_HANDLE_INVALID', 'session', STALE]],
  [0x113, ['WRAPPING_KEY_HANDLE_INVALID', 'session', STALE]],
  [0xb0, ['SESSION_CLOSED', 'session', CLOSED]],
  [0xb3, ['SESSION_HANDLE_INVALID', 'session', CLOSED]],
  [0x90, ['OPERATION_ACTIVE', 'session', 'a call failed half-way and left its operation behind, which a new session has not']],
  [0x91, ['OPERATION_NOT_INITIALIZED', 'session', 'the token forgot an operation half-way']],
  [0x101, ['USER_NOT_LOGGED_IN', 'login', 'another thread, or the token, logged this application out']],
  [0x03, ['SLOT_ID_INVALID', 'gone', 'slots are numbered anew when a token comes back']],
  [0x32, ['DEVICE_REMOVED', 'gone', 'pulled']],
  [0xe0, ['TOKEN_NOT_PRESENT', 'gone', 'pulled']],
  [0xe1, ['TOKEN_NOT_RECOGNIZED', 'gone', 'half back']],
  [0x190, ['CRYPTOKI_NOT_INITIALIZED', 'gone', 'the module was finalised']],
  [0x30, ['DEVICE_ERROR', 'failing', 'what modules answer when the network or the appliance fails']],
  [0x02, ['HOST_MEMORY', 'failing', 'initialising the module again gives back what it leaked']],
  [0x31, ['DEVICE_MEMORY', 'failing', 'closing every session frees the objects that they left']],
  [0x50, ['FUNCTION_CANCELED', 'failing', 'the token gave the call up']],
  [0xb1, ['SESSION_COUNT', 'failing', 'no session is free: too many workers, or sessions of the dead that the token still counts']],
  [0xa0, ['PIN_INCORRECT', 'pin', WRONG]],
  [0xa1, ['PIN_INVALID', 'pin', WRONG]],
  [0xa2, ['PIN_LEN_RANGE', 'pin', WRONG]],
  [0xa3, ['PIN_EXPIRED', 'pin', 'a person must set another']],
  [0xa4, ['PIN_LOCKED', 'pin', 'a person must unlock it']],
  [0x102, ['USER_PIN_NOT_INITIALIZED', 'pin', 'a person must set one']],
]);

const codes = {
  session: 'TOKEN_UNAVAILABLE',
  login: 'TOKEN_UNAVAILABLE',
  gone: 'TOKEN_UNAVAILABLE',
  failing: 'TOKEN_UNAVAILABLE',
  pin: 'PIN_REFUSED',
  fault: 'TOKEN_FAULT',
} as const satisfies Record<Meaning, string>;

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

/** Of an error that tokenError made, or `positiveControl`. */
export function meaningOf(error: unknown): Meaning {
  return meanings.get(returnValue(error) ?? 0)?.[1] ?? (error instanceof ControlFailure ? 'failing' : 'fault');
}

/** The token failed what it can always do if it is well: whatever it answers to a call is no verdict on that. */
export class ControlFailure extends VaultError {
  constructor(cause: Error) {
    super('TOKEN_UNAVAILABLE', `The token fails what it has to do: ${cause.message}`, { cause });
  }
}

/** For where a call failed: does what a token that is well can always do. Throws ControlFailure. */
export function positiveControl<T>(control: () => T): T {
  try {
    return control();
  } catch (cause) {
    throw new ControlFailure(cause as Error);
  }
}

const NOT_SUCH = 'the token does not do this by this mechanism';
const NOT_SO = 'of the template that was sent, the token refuses an attribute, its value, or that one is missing';

/** What a token says of a call that it understood and does not do: what it refuses of it, a mechanism or an attribute. */
const refusals: ReadonlyMap<number, readonly [name: string, refused: Refused, reason: string]> = new Map([
  [0x10, ['ATTRIBUTE_READ_ONLY', 'attribute', NOT_SO]],
  [0x12, ['ATTRIBUTE_TYPE_INVALID', 'attribute', NOT_SO]],
  [0x13, ['ATTRIBUTE_VALUE_INVALID', 'attribute', NOT_SO]],
  [0xd0, ['TEMPLATE_INCOMPLETE', 'attribute', NOT_SO]],
  [0xd1, ['TEMPLATE_INCONSISTENT', 'attribute', NOT_SO]],
  [0x54, ['FUNCTION_NOT_SUPPORTED', 'mechanism', 'the token does not have this call']],
  [0x70, ['MECHANISM_INVALID', 'mechanism', NOT_SUCH]],
  [0x71, ['MECHANISM_PARAM_INVALID', 'mechanism', 'the token does not take this parameter of the mechanism']],
  [0x130, ['DOMAIN_PARAMS_INVALID', 'mechanism', 'the token does not have this curve']],
]);

export type Refused = 'mechanism' | 'attribute';

/** What of a call it was that the token refused, as far as it says. */
export const refusedBy = (error: unknown): Refused | undefined => refusals.get(returnValue(error) ?? 0)?.[1];

/** Our error for what `operation` (a function of Cryptoki) threw. It names no argument: arguments are PINs and keys. */
export function tokenError(error: unknown, operation: string): VaultError {
  const value = returnValue(error);
  if (value === undefined)
    return new VaultError('TOKEN_FAULT', `${operation} failed: ${error instanceof Error ? error.message : 'for no stated reason'}.`, {
      cause: error,
    });
  const [name, , reason] = meanings.get(value) ?? refusals.get(value) ?? [];
  const meaning = meanings.get(value)?.[1] ?? 'fault';
  const what = `${operation} answered CKR 0x${value.toString(16)}`;
  return new VaultError(codes[meaning], name === undefined ? `${what}.` : `${what} (${name}): ${reason}.`, { cause: error });
}

/** For a session that finds itself without the login of the others. */
export const notLoggedIn = (operation: string): VaultError =>
  tokenError(Object.assign(new Error('CKR_USER_NOT_LOGGED_IN'), { code: CKR.USER_NOT_LOGGED_IN }), operation);
