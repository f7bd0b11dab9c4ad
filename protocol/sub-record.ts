import { create } from '@bufbuild/protobuf';
import { type Bytes, concat, exactly, uint64 } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { type SubRecord as Message, SubRecordSchema } from '../proto/gen/backupvault/v1/record_pb.ts';
import { MAX_INDEX } from './body.ts';
import { refuseUnknownFields } from './message.ts';
import { SIGNATURE_LENGTH } from './signature.ts';

/** What one replica stores for one generation. */
export interface SubRecord {
  readonly index: number;
  /** 32 bytes, from which its token makes the tweaks. */
  readonly seed: Bytes;
  /** By this replica's clock. */
  readonly enrolledAtMs: bigint;
  /** 32 bytes, by its token over transcript "sub-record". */
  readonly mac: Bytes;
  /** 64 bytes, by its receipt key over transcript "prepared". */
  readonly signature: Bytes;
}

const LENGTH = 72;

/** Throws MALFORMED. */
export function parseSubRecord(message: Message | undefined): SubRecord {
  if (!message) throw new VaultError('MALFORMED', 'A sub-record is missing.');
  refuseUnknownFields(message, 'sub_record');
  const { index } = message;
  if (index < 1 || index > MAX_INDEX) throw new VaultError('MALFORMED', `sub_record.index must be 1 to ${MAX_INDEX}.`);
  const value = exactly(LENGTH, message.value, 'sub_record.value');
  const signature = exactly(SIGNATURE_LENGTH, message.signature, 'sub_record.signature');
  const enrolledAtMs = new DataView(value.buffer, value.byteOffset).getBigUint64(32);
  return { index, seed: value.slice(0, 32), enrolledAtMs, mac: value.slice(40), signature };
}

export const renderSubRecord = ({ index, seed, enrolledAtMs, mac, signature }: SubRecord): Message =>
  create(SubRecordSchema, { index, value: concat(seed, uint64(enrolledAtMs), mac), signature });
