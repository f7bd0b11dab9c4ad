import type { Message } from '@bufbuild/protobuf';
import { VaultError } from '../primitives/errors.ts';

/** Requests of frontends that are larger than this are refused by both ends. */
export const MAX_MESSAGE_LENGTH = 64 * 1024;

/** Between replicas: up to 99 earlier attempts are shown, or 100 recalled, each with a grant of 2 KiB at most. */
export const MAX_PEER_MESSAGE_LENGTH = 256 * 1024;

/** The statement of nine replicas takes 21 KiB with what SoftHSM2 says of its keys, and twice as much again as a bundle: base64, twice. */
export const MAX_REPLY_LENGTH = 256 * 1024;

/** What is hashed over its fields must not carry others along: they would be stored, but bound by nothing. Throws MALFORMED. */
export function refuseUnknownFields(message: Message, what: string): void {
  const unknown = message.$unknown?.[0];
  if (unknown)
    throw new VaultError('MALFORMED', `${what} has an unknown field, number ${unknown.no}: both ends must speak the same version.`);
}
