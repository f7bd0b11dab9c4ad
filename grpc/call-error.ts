import { type Metadata, status } from '@grpc/grpc-js';
import { type ErrorCode, VaultError } from '../primitives/errors.ts';
import { decodeError, ERROR_METADATA } from '../protocol/error-info.ts';

// A status without an ErrorInfo comes from the transport: from a connection that broke, a proxy, or another version. Where the
// replica may have acted already, the outcome is unknown and the same bytes may be sent again.
const codes = {
  [status.OK]: 'INTERNAL',
  [status.CANCELLED]: 'OUTCOME_UNKNOWN',
  [status.UNKNOWN]: 'OUTCOME_UNKNOWN',
  [status.INVALID_ARGUMENT]: 'MALFORMED',
  [status.DEADLINE_EXCEEDED]: 'OUTCOME_UNKNOWN',
  [status.NOT_FOUND]: 'OUTCOME_UNKNOWN',
  [status.ALREADY_EXISTS]: 'OUTCOME_UNKNOWN',
  [status.PERMISSION_DENIED]: 'CALLER_UNKNOWN',
  [status.RESOURCE_EXHAUSTED]: 'TOO_LARGE', // so grpc-js says of a message over the limit, of either side
  [status.FAILED_PRECONDITION]: 'OUTCOME_UNKNOWN',
  [status.ABORTED]: 'OUTCOME_UNKNOWN',
  [status.OUT_OF_RANGE]: 'MALFORMED',
  [status.UNIMPLEMENTED]: 'INTERNAL',
  [status.INTERNAL]: 'OUTCOME_UNKNOWN', // so grpc-js says of a reset stream
  [status.UNAVAILABLE]: 'OUTCOME_UNKNOWN',
  [status.DATA_LOSS]: 'OUTCOME_UNKNOWN',
  [status.UNAUTHENTICATED]: 'CALLER_UNKNOWN',
} as const satisfies Record<status, ErrorCode>;

/** What a failed call says, by its ErrorInfo if it has one. */
export function callError(cause: unknown): VaultError {
  const { code, metadata } = cause as { code?: status; metadata?: Metadata };
  const [info] = metadata?.get(ERROR_METADATA) ?? [];
  const told = info instanceof Uint8Array ? decodeError(info) : undefined;
  if (told) return told;
  const known = code === undefined ? undefined : codes[code];
  return new VaultError(known ?? 'OUTCOME_UNKNOWN', `The call failed with gRPC status ${code === undefined ? 'unknown' : status[code]}.`, {
    cause,
  });
}
