import { type ErrorCode, isVaultError, VaultError } from '../../../primitives/errors.ts';
import type { ReplicaLocation } from '../keys/replica.ts';
import type { OperationName } from '../operations.ts';
import { type Meaning, meaningOf } from '../pkcs11/failure.ts';
import type { TokenIdentity } from '../port.ts';

// What crosses the boundary of a worker thread, by structured clone. Keys never do.

export interface WorkerData {
  readonly location: ReplicaLocation;
}

/** Each is answered once, by its id. */
export type Request =
  | Opening
  /** Self-test: makes session objects only, so others may be served meanwhile. */
  | { readonly kind: 'test'; readonly extent: TestExtent }
  | { readonly kind: 'call'; readonly operation: OperationName; readonly argument: unknown }
  /** Leaves the token: closes the session. */
  | { readonly kind: 'leave' }
  /** Leaves it, and the module if `finalise`, and ends. */
  | { readonly kind: 'end'; readonly finalise: boolean };

/** `full`: also that it refuses what it must. */
export type TestExtent = 'full' | 'short';

export interface Opening {
  readonly kind: 'open';
  /** Finalises the module first, which gives back what it leaked, and ends every session of the process. */
  readonly afresh: boolean;
  /** Logs the application in; without it another worker did. Wiped after use. */
  readonly pin?: Uint8Array;
  /** Set once a worker has opened the token: every later session has to find the same one. */
  readonly expected?: TokenIdentity;
}

export type ToWorker = Request & { readonly id: number };

export type FromWorker = {
  readonly id: number;
  /** Session objects made since the last answer. */
  readonly objectsMade: number;
} & ({ readonly value: unknown } | { readonly error: PlainError });

/** An error without its cause: what pkcs11js throws does not survive cloning, and its message is in ours already. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  /** `ended`: the worker did, in the middle of it. */
  readonly meaning: Meaning | 'ended';
}

export const toPlain = (error: unknown): PlainError =>
  isVaultError(error)
    ? { code: error.code, message: error.message, meaning: error.code === 'TOKEN_MISSING' ? 'gone' : meaningOf(error) }
    : {
        code: 'INTERNAL',
        message: `The token worker failed: ${error instanceof Error ? error.message : 'for no stated reason'}`,
        meaning: 'fault',
      };

/** What a worker answered instead of a value. */
export class WorkerFailure extends Error {
  readonly error: VaultError;
  readonly meaning: PlainError['meaning'];

  constructor({ code, message, meaning }: PlainError) {
    super(message);
    this.error = new VaultError(code, message);
    this.meaning = meaning;
  }
}

/** A copy of `value` whose byte arrays own their memory: a clone of a view would take the whole buffer behind it along. */
export function detached(value: unknown): unknown {
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (Array.isArray(value)) return value.map(detached);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, detached(part)]));
}
