import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { uint64 } from '../../primitives/bytes.ts';
import { type Generation as GenerationMessage, GenerationSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { type HashedBody, parseBody } from '../../protocol/body.ts';
import { parseSubRecord, renderSubRecord, type SubRecord } from '../../protocol/sub-record.ts';

/** All that a replica needs to serve a generation without asking anybody. */
export interface Generation extends HashedBody {
  readonly subRecord: SubRecord;
  /** Which of two generations of a record is the later one; 0 while prepared. */
  readonly number: bigint;
}

/** An attempt that was counted: the hash of its point, and when. */
export interface Counted {
  readonly pointHash: Uint8Array;
  readonly atMs: number;
}

/** What the guard knows of one record. */
export interface Guarded {
  readonly live: Generation | undefined;
  readonly prepared: readonly Generation[];
  /** H of the live generation, by attempt. Write-once. */
  readonly counted: ReadonlyMap<number, Counted>;
}

/** What it holds of a record, served or prepared. */
export const heldBy = ({ live, prepared }: Guarded): Generation[] => [...(live ? [live] : []), ...prepared];

export const renderGeneration = ({ body, subRecord, number }: Generation): GenerationMessage =>
  create(GenerationSchema, { body, subRecord: renderSubRecord(subRecord), number });

/** Throws MALFORMED. */
export const parseGeneration = ({ body, subRecord, number }: GenerationMessage): Generation => ({
  ...parseBody(body),
  subRecord: parseSubRecord(subRecord),
  number,
});

export const encodeGeneration = (generation: Generation): Uint8Array => toBinary(GenerationSchema, renderGeneration(generation));

export const decodeGeneration = (value: Uint8Array): Generation => parseGeneration(fromBinary(GenerationSchema, value));

/** 8 bytes of time, then the hash. */
export const encodeCounted = ({ pointHash, atMs }: Counted): Uint8Array => Buffer.concat([uint64(Math.floor(atMs)), pointHash]);

export const decodeCounted = (value: Uint8Array): Counted => ({
  atMs: Number(Buffer.from(value).readBigUInt64BE(0)),
  pointHash: value.subarray(8),
});
