import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { uint64 } from '../../primitives/bytes.ts';
import { GenerationSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
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

export const encodeGeneration = ({ body, subRecord, number }: Generation): Uint8Array =>
  toBinary(GenerationSchema, { $typeName: 'backupvault.v1.Generation', body, subRecord: renderSubRecord(subRecord), number });

export function decodeGeneration(value: Uint8Array): Generation {
  const { body, subRecord, number } = fromBinary(GenerationSchema, value);
  return { ...parseBody(body), subRecord: parseSubRecord(subRecord), number };
}

/** 8 bytes of time, then the hash. */
export const encodeCounted = ({ pointHash, atMs }: Counted): Uint8Array => Buffer.concat([uint64(Math.floor(atMs)), pointHash]);

export const decodeCounted = (value: Uint8Array): Counted => ({
  atMs: Number(Buffer.from(value).readBigUInt64BE(0)),
  pointHash: value.subarray(8),
});
