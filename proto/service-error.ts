import { status } from '@grpc/grpc-js';
import { type ErrorCode, VaultError } from '../primitives/errors.ts';
import { decodeError, ERROR_METADATA } from '../protocol/error-info.ts';

/** What a status without an ErrorInfo means: it then came from the transport, not from a replica. */
const transport: Partial<Record<status, ErrorCode>> = {
  [status.UNAVAILABLE]: 'OUTCOME_UNKNOWN',
  [status.DEADLINE_EXCEEDED]: 'OUTCOME_UNKNOWN',
  [status.CANCELLED]: 'OUTCOME_UNKNOWN',
  [status.UNKNOWN]: 'OUTCOME_UNKNOWN',
  [status.RESOURCE_EXHAUSTED]: 'TOO_LARGE',
  [status.UNAUTHENTICATED]: 'CALLER_UNKNOWN',
  [status.PERMISSION_DENIED]: 'CALLER_UNKNOWN',
};

/** The error that a failed call carries: the replica's own, or what the transport's status means for the caller. */
export function fromServiceError(cause: unknown, whom: string): VaultError {
  const { code, metadata, details } = cause as { code?: status; metadata?: { get(key: string): unknown[] }; details?: string };
  const info = metadata?.get(ERROR_METADATA)[0];
  const decoded = info instanceof Uint8Array ? decodeError(info) : undefined;
  if (decoded) return decoded;
  const meaning = (code !== undefined && transport[code]) || 'INTERNAL';
  return new VaultError(
    meaning,
    `${whom} did not answer as expected: ${code === undefined ? 'no status' : status[code]}, ${details ?? ''}.`,
    { cause },
  );
}
