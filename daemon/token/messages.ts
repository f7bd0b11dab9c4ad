import { type ErrorCode, isVaultError, VaultError } from '../../primitives/errors.ts';
import type { OperationName } from './operations.ts';
import type { TokenIdentity } from './port.ts';
import type { ReplicaLocation } from './replica.ts';

// What crosses the boundary of a worker thread, by structured clone. Keys never do.

export interface WorkerData {
  readonly location: ReplicaLocation;
  /** Runs the self-test before it reports ready. */
  readonly selfTest: boolean;
  /** Set once the first worker has opened the token: every other session has to find the same one. */
  readonly expected?: TokenIdentity;
}

export type ToWorker =
  | { readonly kind: 'open'; readonly pin: Uint8Array }
  | { readonly kind: 'call'; readonly id: number; readonly operation: OperationName; readonly argument: unknown }
  /** Gives the module's leaked memory back: finalises it and opens everything again. */
  | { readonly kind: 'recycle' }
  | { readonly kind: 'close'; readonly finalise: boolean };

export type FromWorker =
  | { readonly kind: 'ready'; readonly identity: TokenIdentity }
  | { readonly kind: 'unopened'; readonly error: PlainError }
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown; readonly objectsMade: number }
  | { readonly kind: 'error'; readonly id: number; readonly error: PlainError; readonly objectsMade: number };

/** An error without its cause: what pkcs11js throws does not survive cloning, and its message is in ours already. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
}

export const toPlain = (error: unknown): PlainError =>
  isVaultError(error)
    ? { code: error.code, message: error.message }
    : { code: 'INTERNAL', message: `The token worker failed: ${error instanceof Error ? error.message : 'for no stated reason'}` };

export const fromPlain = ({ code, message }: PlainError): VaultError => new VaultError(code, message);

/** A copy of `value` whose byte arrays own their memory: a clone of a view would take the whole buffer behind it along. */
export function detached(value: unknown): unknown {
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, detached(part)]));
}
