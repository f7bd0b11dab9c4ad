import { create } from '@bufbuild/protobuf';
import { type Bytes, constantTimeEqual, exactly } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { type OwnerList as Message, OwnerListSchema } from '../proto/gen/backupvault/v1/record_pb.ts';
import { refuseUnknownFields } from './message.ts';
import { SIGNATURE_LENGTH } from './signature.ts';
import { listTranscript } from './transcripts.ts';

/** What its owner keeps beside a record. */
export interface OwnerList {
  readonly counter: bigint;
  /** At most MAX_LIST_LENGTH bytes. */
  readonly content: Bytes;
  /** Ed25519 by the owner key, over transcript "list": 64 bytes. */
  readonly signature: Bytes;
}

const MAX_LIST_LENGTH = 8 * 1024;
const MAX_COUNTER = (1n << 63n) - 1n;

/** Whose signature it has is for the caller to verify. Throws MALFORMED. */
export function parseOwnerList(message: Message | undefined): OwnerList {
  if (!message) throw new VaultError('MALFORMED', 'The list is missing.');
  refuseUnknownFields(message, 'list');
  const { counter, content, signature } = message;
  if (content.length > MAX_LIST_LENGTH)
    throw new VaultError('MALFORMED', `list.content has ${content.length} bytes; at most ${MAX_LIST_LENGTH} are kept.`);
  if (counter < 1n || counter > MAX_COUNTER) throw new VaultError('MALFORMED', `list.counter must be 1 to ${MAX_COUNTER}.`);
  return { counter, content: content as Bytes, signature: exactly(SIGNATURE_LENGTH, signature, 'list.signature') };
}

export const renderOwnerList = (list: OwnerList): Message => create(OwnerListSchema, list);

/** What its owner signs; the name of its content. */
export const listDigest = (fleet: string, rid: Uint8Array, { counter, content }: Pick<OwnerList, 'counter' | 'content'>) =>
  listTranscript(fleet, rid, counter, content);

export const isSameList = (one: OwnerList, other: OwnerList): boolean =>
  one.counter === other.counter && constantTimeEqual(one.content, other.content);
