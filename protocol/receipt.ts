import { z } from 'zod';
import { type Bytes, fromHex, toHex, utf8 } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { expectSigned } from './signature.ts';
import { parseStatement, replicaOf, type Statement } from './statement.ts';
import { erasedTranscript, type ReceiptFields, receiptTranscript } from './transcripts.ts';

const RECEIPTS_TYPE = 'backup-key-vault/receipts/v1';

const hex = z.hex();

const receiptSchema = z.strictObject({
  replica: z.int(),
  rid: hex,
  g: hex,
  attempt: z.int().min(1),
  limit: z.int().min(1),
  used: z.int().min(1),
  point: hex,
  evaluated: hex,
  body_hash: hex,
  enrolled_at_ms: z.int().min(0),
  signature: hex,
});

const erasureSchema = z.strictObject({ replica: z.int(), rid: hex, g: hex, signature: hex });

const documentSchema = z.strictObject({
  type: z.literal(RECEIPTS_TYPE),
  /** The fleet statement that names the keys, in canonical form. */
  statement: z.string(),
  receipts: z.array(receiptSchema),
  erasures: z.array(erasureSchema),
});

/** What one replica signed of one attempt, complete: anybody who trusts the statement can verify it, at any later time. */
export type Receipt = z.infer<typeof receiptSchema>;

/** Throws REPLY_UNTRUSTED unless the replica that it names signed it. */
export function verifyReceipt(statement: Statement, receipt: Receipt): void {
  const bytes = (name: 'rid' | 'g' | 'point' | 'evaluated' | 'body_hash'): Bytes => fromHex(receipt[name], name);
  const transcript = receiptTranscript({
    fleet: statement.fleet,
    epoch: statement.epoch,
    index: receipt.replica,
    rid: bytes('rid'),
    g: bytes('g'),
    attempt: receipt.attempt,
    limit: receipt.limit,
    used: receipt.used,
    point: bytes('point'),
    evaluated: bytes('evaluated'),
    bodyHash: bytes('body_hash'),
    enrolledAtMs: BigInt(receipt.enrolled_at_ms),
  });
  expectSigned(replicaOf(statement, receipt.replica), transcript, fromHex(receipt.signature, 'signature'), 'The receipt');
}

/** What one replica signed of a generation that it destroyed, complete. */
export type Erasure = z.infer<typeof erasureSchema>;

/** Throws REPLY_UNTRUSTED unless the replica that it names signed it. */
export function verifyErasure(statement: Statement, { replica, rid, g, signature }: Erasure): void {
  const { fleet, epoch } = statement;
  const transcript = erasedTranscript({ fleet, epoch, index: replica, rid: fromHex(rid, 'rid'), g: fromHex(g, 'g') });
  expectSigned(replicaOf(statement, replica), transcript, fromHex(signature, 'signature'), 'The erasure');
}

export const erasureOf = (replica: number, rid: Uint8Array, g: Uint8Array, signature: Uint8Array): Erasure => ({
  replica,
  rid: toHex(rid),
  g: toHex(g),
  signature: toHex(signature),
});

/** What replicas signed, with the statement that it is verified under. */
export interface Receipts {
  readonly statement: Statement;
  readonly receipts: readonly Receipt[];
  readonly erasures: readonly Erasure[];
}

/** As JSON. */
export const encodeReceipts = ({ statement, receipts, erasures }: Receipts): string =>
  JSON.stringify({ type: RECEIPTS_TYPE, statement: new TextDecoder().decode(statement.bytes), receipts, erasures }, null, 2);

/** Whether the statement is to be trusted is another question. Throws MALFORMED, FLEET_UNTRUSTED. */
export function parseReceipts(text: string): Receipts {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new VaultError('MALFORMED', 'The receipts are not JSON.', { cause });
  }
  const parsed = documentSchema.safeParse(document);
  if (!parsed.success) throw new VaultError('MALFORMED', `The receipts are not of this version:\n${z.prettifyError(parsed.error)}`);
  const { statement, receipts, erasures } = parsed.data;
  return { statement: parseStatement(utf8(statement)), receipts, erasures };
}

/** The receipt that a replica's answer is. */
export const receiptOf = (fields: ReceiptFields, signature: Uint8Array): Receipt => ({
  replica: fields.index,
  rid: toHex(fields.rid),
  g: toHex(fields.g),
  attempt: fields.attempt,
  limit: fields.limit,
  used: fields.used,
  point: toHex(fields.point),
  evaluated: toHex(fields.evaluated),
  body_hash: toHex(fields.bodyHash),
  enrolled_at_ms: Number(fields.enrolledAtMs),
  signature: toHex(signature),
});
