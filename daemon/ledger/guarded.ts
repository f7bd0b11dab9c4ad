import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { constantTimeEqual, exactly, uint64 } from '../../primitives/bytes.ts';
import {
  type Generation as GenerationMessage,
  GenerationSchema,
  type GrantedPoint as GrantedPointMessage,
  GrantedPointSchema,
  ShownGenerationSchema,
  type ShownGeneration as ShownMessage,
  SignedSchema,
} from '../../proto/gen/backupvault/v1/record_pb.ts';
import { beginsLine, G_LENGTH, HASH_LENGTH, type HashedBody, isLater, isSameLine, type Order, parseBody } from '../../protocol/body.ts';
import { SECRET_NAME_LENGTH } from '../../protocol/offer.ts';
import type { OwnerList } from '../../protocol/owner-list.ts';
import type { Signed } from '../../protocol/signature.ts';
import { parseSubRecord, renderSubRecord, type SubRecord } from '../../protocol/sub-record.ts';
import type { Decision } from './hold.ts';

/** All that a replica needs to serve a generation without asking anybody. */
export interface Generation extends HashedBody {
  readonly subRecord: SubRecord;
  /** Once it is live: `prepared` of t holders or more, by which it may be. */
  readonly prepared: readonly Signed[];
  /** The name of the ticket secret that its seed was made with, 8 bytes: while that is kept, the seed can be made again. */
  readonly madeWith: Uint8Array;
}

/** A point that a tenant's frontend once granted an attempt for, and the grant, which shows it. */
export interface GrantedPoint {
  readonly pointHash: Uint8Array;
  readonly grant: string;
}

/** An attempt that was counted. */
export interface Counted extends GrantedPoint {
  /** When it was voted for. 0 where it was only shown, by whoever voted for a later one: it uses up its number, and starts no cool-down. */
  readonly atMs: number;
}

/** What the guard knows of one record. */
export interface Guarded {
  readonly live: Generation | undefined;
  readonly prepared: readonly Generation[];
  /** H of the live generation, by attempt, from 1 on without a gap. Write-once. */
  readonly counted: ReadonlyMap<number, Counted>;
  /** The latest generation that was destroyed, of each line of which one was. Neither it nor what came before it comes back. */
  readonly destroyed: readonly Destroyed[];
}

/** What a replica tells others of a record: nothing in it serves anybody. */
export interface Recalled {
  readonly index: number;
  readonly live: Shown | undefined;
  /** Each with what this replica signed itself. */
  readonly prepared: readonly Shown[];
  readonly counted: ReadonlyMap<number, Counted>;
  /** About attempts of what it serves. */
  readonly decided: readonly Decided[];
  /** Beside what it serves. */
  readonly list: OwnerList | undefined;
}

/** What the owner of a generation said of an attempt. */
export interface Decided extends Decision {
  readonly pointHash: Uint8Array;
}

/** Where a line ended. */
export interface End extends Order {
  readonly g: Uint8Array;
  readonly line: Uint8Array;
}

/** A generation as others can be shown it: there is nothing in it that serves anybody. */
export interface Shown extends HashedBody {
  /** Once they are of t holders or more, its line, and its place there, are nobody's word alone. */
  readonly prepared: readonly Signed[];
}

export interface Destroyed extends End {
  /** The name of the last ticket secret by which its seed can be made again. */
  readonly madeWith: Uint8Array;
  /** Shown by the tenant's grant, and not by what replicas signed alone. */
  readonly byTenant: boolean;
  /** What was destroyed, where it was served here, or shown: for others that missed it. */
  readonly shown: Shown | undefined;
}

/** What it holds of a record, served or prepared. */
export const heldBy = <T>({ live, prepared }: { readonly live: T | undefined; readonly prepared: readonly T[] }): T[] => [
  ...(live === undefined ? [] : [live]),
  ...prepared,
];

/** What others can be shown of what is held here: also what this replica signed itself. */
export const showing = ({ body, bodyHash, subRecord, prepared }: Generation): Shown => {
  const { index, signature } = subRecord;
  const isThere = prepared.some((signed) => signed.index === index);
  return { body, bodyHash, prepared: isThere ? prepared : [{ index, signature }, ...prepared] };
};

/** What it can show others of a generation that it serves, or destroyed. */
export const shownOf = ({ live, destroyed }: Guarded, g: Uint8Array): Shown | undefined =>
  [live, ...destroyed.map(({ shown }) => shown)].find((each) => each && constantTimeEqual(each.body.g, g));

/** Whether a generation was destroyed here, or a later one of its line. */
export const isOver = ({ destroyed }: Guarded, body: End): boolean => destroyed.some((end) => covers(end, body));

/** Whether the end of a line is the end of this generation, too. */
export const covers = (end: End, body: End): boolean => constantTimeEqual(end.g, body.g) || reaches(end, body);

const reaches = (end: End, body: End): boolean => isSameLine(end, body) && !isLater(body, end);

/** Of a generation that nobody showed, and so of no line that is known: it ends no other one. */
export const unknownEnd = (g: Uint8Array): End => ({ g, line: g, epoch: 0n, number: 0n });

export const isUnknownEnd = ({ number }: Order): boolean => number === 0n;

/**
 * The end that was remembered for this one, or for a later one of its line. For a generation that is shown, that of its mere name is none: what came before it
 * may be here yet.
 */
export const answerTo = ({ destroyed }: Guarded, end: End): Destroyed | undefined =>
  destroyed.find((each) => reaches(each, end) || (isUnknownEnd(end) && constantTimeEqual(each.g, end.g)));

/**
 * The line that this guard goes by: it takes no other until it was shown that this one is over. Where it serves nothing, it may be among the t whose
 * `prepared` put what it prepared in force.
 */
export const lineOf = (guarded: Guarded): Uint8Array | undefined => binding(guarded)?.body.line;

/** What it is that a guard goes by. */
export function binding({ live, prepared, destroyed }: Guarded): Generation | undefined {
  return live ?? prepared.find(({ body }) => !beginsLine(body) && !destroyed.some((end) => isSameLine(end, body)));
}

const renderGeneration = ({ body, subRecord, prepared, madeWith }: Generation): GenerationMessage =>
  create(GenerationSchema, { body, subRecord: renderSubRecord(subRecord), prepared: prepared.map(renderSigned), ticketSecret: madeWith });

export const renderSigned = ({ index, signature }: Signed) => create(SignedSchema, { index, signature });

export const renderShown = ({ body, prepared }: Shown): ShownMessage =>
  create(ShownGenerationSchema, { body, prepared: prepared.map(renderSigned) });

/** Throws MALFORMED. */
export const parseShown = ({ body, prepared }: Pick<ShownMessage, 'body' | 'prepared'>): Shown => ({
  ...parseBody(body),
  prepared: prepared.map(({ index, signature }) => ({ index, signature })),
});

/** Throws MALFORMED. */
const parseGeneration = ({ subRecord, ticketSecret, ...shown }: GenerationMessage): Generation => ({
  ...parseShown(shown),
  subRecord: parseSubRecord(subRecord),
  madeWith: exactly(SECRET_NAME_LENGTH, ticketSecret, 'ticket_secret'),
});

export const encodeGeneration = (generation: Generation): Uint8Array => toBinary(GenerationSchema, renderGeneration(generation));

export const decodeGeneration = (value: Uint8Array): Generation => parseGeneration(fromBinary(GenerationSchema, value));

/**
 * g, 16 bytes, the name of the secret, 8, then epoch and number, and one byte: 1 by the tenant's grant, else 0. The line is in the key. What others can be
 * shown comes last, if anything: about a kilobyte.
 */
export const encodeDestroyed = ({ g, madeWith, epoch, number, byTenant, shown }: Destroyed): Uint8Array =>
  Buffer.concat([
    ...[g, madeWith, uint64(epoch), uint64(number), Buffer.of(byTenant ? 1 : 0)],
    ...(shown ? [toBinary(ShownGenerationSchema, renderShown(shown))] : []),
  ]);

export function decodeDestroyed(line: Uint8Array, value: Uint8Array): Destroyed {
  const bytes = Buffer.from(value);
  const end = G_LENGTH + SECRET_NAME_LENGTH;
  const rest = value.subarray(end + 17);
  return {
    ...{ line, g: value.subarray(0, G_LENGTH), madeWith: value.subarray(G_LENGTH, end) },
    shown: rest.length > 0 ? parseShown(fromBinary(ShownGenerationSchema, rest)) : undefined,
    ...{ epoch: bytes.readBigUInt64BE(end), number: bytes.readBigUInt64BE(end + 8), byTenant: bytes.readUInt8(end + 16) === 1 },
  };
}

/** 8 bytes of time, 32 of the hash, then the grant. */
export const encodeCounted = ({ pointHash, grant, atMs }: Counted): Uint8Array =>
  Buffer.concat([uint64(Math.floor(atMs)), pointHash, Buffer.from(grant)]);

export const decodeCounted = (value: Uint8Array): Counted => ({
  atMs: Number(Buffer.from(value).readBigUInt64BE(0)),
  pointHash: value.subarray(8, 8 + HASH_LENGTH),
  grant: Buffer.from(value.subarray(8 + HASH_LENGTH)).toString(),
});

export const renderPoint = ({ pointHash, grant }: GrantedPoint): GrantedPointMessage =>
  create(GrantedPointSchema, { hash: pointHash, grant });

/** Throws MALFORMED. Whether the grant is good is asked elsewhere. */
export const parseGrantedPoint = (point: GrantedPointMessage | undefined): GrantedPoint => ({
  pointHash: exactly(HASH_LENGTH, point?.hash ?? new Uint8Array(0), 'point.hash'),
  grant: point?.grant ?? '',
});
