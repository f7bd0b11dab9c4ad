import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type ErrorCode, type ErrorDetails, errorCodes, VaultError } from '../primitives/errors.ts';
import { ErrorInfoSchema } from '../proto/gen/backupvault/v1/error_pb.ts';

/** The trailing metadata of a failed call that carries an ErrorInfo. */
export const ERROR_METADATA = 'bkv-error-bin';

export function encodeError(error: VaultError): Uint8Array {
  const { notBefore, ...counts } = error.details;
  return toBinary(
    ErrorInfoSchema,
    create(ErrorInfoSchema, {
      code: error.code,
      message: error.message,
      ...counts,
      ...(notBefore === undefined ? {} : { notBeforeMs: BigInt(Math.ceil(notBefore)) }),
    }),
  );
}

/** Undefined for what is not an ErrorInfo of a code known here: the caller then goes by the gRPC status. */
export function decodeError(bytes: Uint8Array): VaultError | undefined {
  try {
    const { code, message, attemptsUsed, attemptsLimit, notBeforeMs, replicasAnswered, replicasNeeded } = fromBinary(
      ErrorInfoSchema,
      bytes,
    );
    if (!Object.hasOwn(errorCodes, code)) return undefined;
    const details: { -readonly [K in keyof ErrorDetails]: ErrorDetails[K] } = {};
    if (attemptsUsed !== undefined) details.attemptsUsed = attemptsUsed;
    if (attemptsLimit !== undefined) details.attemptsLimit = attemptsLimit;
    if (notBeforeMs !== undefined) details.notBefore = Number(notBeforeMs);
    if (replicasAnswered !== undefined) details.replicasAnswered = replicasAnswered;
    if (replicasNeeded !== undefined) details.replicasNeeded = replicasNeeded;
    return new VaultError(code as ErrorCode, message, { details });
  } catch {
    return undefined;
  }
}
