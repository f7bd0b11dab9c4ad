import type { Message } from '@bufbuild/protobuf';
import { VaultError } from '../primitives/errors.ts';

/** gRPC messages larger than this are refused by both ends. */
export const MAX_MESSAGE_LENGTH = 64 * 1024;

/** What is hashed over its fields must not carry others along: they would be stored, but bound by nothing. Throws MALFORMED. */
export function refuseUnknownFields(message: Message, what: string): void {
  const unknown = message.$unknown?.[0];
  if (unknown)
    throw new VaultError('MALFORMED', `${what} has an unknown field, number ${unknown.no}: both ends must speak the same version.`);
}
