import type { Message } from '@bufbuild/protobuf';
import { VaultError } from '../primitives/errors.ts';

/** gRPC messages larger than this are refused by both ends; of what a frontend is answered see below. */
export const MAX_MESSAGE_LENGTH = 64 * 1024;

/** The statement of nine replicas takes 26 KiB, and 50 more as a bundle: twice in base64. */
export const MAX_REPLY_LENGTH = 256 * 1024;

/** What is hashed over its fields must not carry others along: they would be stored, but bound by nothing. Throws MALFORMED. */
export function refuseUnknownFields(message: Message, what: string): void {
  const unknown = message.$unknown?.[0];
  if (unknown)
    throw new VaultError('MALFORMED', `${what} has an unknown field, number ${unknown.no}: both ends must speak the same version.`);
}
