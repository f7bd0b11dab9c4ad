import { type Metadata, status } from '@grpc/grpc-js';
import { type ErrorCode, VaultError } from '../primitives/errors.ts';
import { decodeError, ERROR_METADATA } from '../protocol/error-info.ts';

// A status without an ErrorInfo comes from the transport: from a connection that broke, a proxy, or another version. Where the
// replica may have acted already, and so for every status that is not here, the outcome is unknown and the same bytes may be sent again.
const codes: { readonly [S in status]?: ErrorCode } = {
  [status.INVALID_ARGUMENT]: 'MALFORMED',
  [status.PERMISSION_DENIED]: 'CALLER_UNKNOWN',
  [status.RESOURCE_EXHAUSTED]: 'TOO_LARGE', // so grpc-js says of a message over the limit, of either side
  [status.OUT_OF_RANGE]: 'MALFORMED',
  [status.UNIMPLEMENTED]: 'INTERNAL',
  [status.UNAUTHENTICATED]: 'CALLER_UNKNOWN',
};

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
