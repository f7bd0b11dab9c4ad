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
    const { $typeName: _type, $unknown: _later, code, message, notBeforeMs, ...counts } = fromBinary(ErrorInfoSchema, bytes);
    if (!Object.hasOwn(errorCodes, code)) return undefined;
    // A field that is not in the message is no property of `counts`.
    const details = { ...counts, ...(notBeforeMs === undefined ? {} : { notBefore: Number(notBeforeMs) }) } as ErrorDetails;
    return new VaultError(code as ErrorCode, message, { details });
  } catch {
    return undefined;
  }
}
