import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { exactly, uint64 } from '../../primitives/bytes.ts';
import { type Generation as GenerationMessage, GenerationSchema } from '../../proto/gen/backupvault/v1/record_pb.ts';
import { G_LENGTH, type HashedBody, parseBody } from '../../protocol/body.ts';
import { SECRET_NAME_LENGTH } from '../../protocol/offer.ts';
import { parseSubRecord, renderSubRecord, type SubRecord } from '../../protocol/sub-record.ts';

/** All that a replica needs to serve a generation without asking anybody. */
export interface Generation extends HashedBody {
  readonly subRecord: SubRecord;
  /** Which of two generations of a record is the later one; 0 while prepared. */
  readonly number: bigint;
  /** The name of the ticket secret that its seed was made with, 8 bytes: while that is kept, the seed can be made again. */
  readonly madeWith: Uint8Array;
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
  /** The generation that was destroyed last. It never comes back. */
  readonly destroyed: Destroyed | undefined;
}

export interface Destroyed {
  readonly g: Uint8Array;
  /** The name of the last ticket secret by which its seed can be made again. */
  readonly madeWith: Uint8Array;
}

/** What it holds of a record, served or prepared. */
export const heldBy = ({ live, prepared }: Guarded): Generation[] => [...(live ? [live] : []), ...prepared];

export const renderGeneration = ({ body, subRecord, number, madeWith }: Generation): GenerationMessage =>
  create(GenerationSchema, { body, subRecord: renderSubRecord(subRecord), number, ticketSecret: madeWith });

/** Throws MALFORMED. */
export const parseGeneration = ({ body, subRecord, number, ticketSecret }: GenerationMessage): Generation => ({
  ...parseBody(body),
  subRecord: parseSubRecord(subRecord),
  number,
  madeWith: exactly(SECRET_NAME_LENGTH, ticketSecret, 'ticket_secret'),
});

export const encodeGeneration = (generation: Generation): Uint8Array => toBinary(GenerationSchema, renderGeneration(generation));

export const decodeGeneration = (value: Uint8Array): Generation => parseGeneration(fromBinary(GenerationSchema, value));

/** g, 16 bytes, then the name of the secret. */
export const encodeDestroyed = ({ g, madeWith }: Destroyed): Uint8Array => Buffer.concat([g, madeWith]);

export const decodeDestroyed = (value: Uint8Array): Destroyed => ({ g: value.subarray(0, G_LENGTH), madeWith: value.subarray(G_LENGTH) });

/** 8 bytes of time, then the hash. */
export const encodeCounted = ({ pointHash, atMs }: Counted): Uint8Array => Buffer.concat([uint64(Math.floor(atMs)), pointHash]);

export const decodeCounted = (value: Uint8Array): Counted => ({
  atMs: Number(Buffer.from(value).readBigUInt64BE(0)),
  pointHash: value.subarray(8),
});
