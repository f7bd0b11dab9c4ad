import type { Millis } from '../primitives/brand.ts';
import { constantTimeEqual } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import type { BeginRecoveryResponse, Evaluation } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { type Body, type HashedBody, parseBody, shareOf } from '../protocol/body.ts';
import { type Receipt, receiptOf } from '../protocol/receipt.ts';
import { expectSigned } from '../protocol/signature.ts';
import { replicaOf } from '../protocol/statement.ts';
import { type Terms, termsOf } from '../protocol/terms.ts';
import { receiptTranscript } from '../protocol/transcripts.ts';
import { expectEnough, verifyEach } from './claims.ts';
import { type CurveX, parseCurveX } from './curve.ts';
import type { TrustedStatement } from './trust.ts';

/** What the client asked for, by its own account and not by the reply's. */
export interface RecoveryRequest {
  readonly statement: TrustedStatement;
  readonly rid: Uint8Array;
  readonly g: Uint8Array;
  readonly point: Uint8Array;
}

/** What one replica answered, and signed. */
export interface Answer {
  readonly index: number;
  /** Z_i */
  readonly evaluated: CurveX;
  readonly enrolledAt: Millis;
  /** |H_i|: attempts that it has counted, this one included. */
  readonly used: number;
  /** What it signed, complete. */
  readonly receipt: Receipt;
}

export interface Answers extends HashedBody {
  /** k */
  readonly attempt: number;
  readonly valid: readonly Answer[];
  /** Holders that are there and did not answer in time: the coordinator's word, good for nothing but asking again. */
  readonly silent: readonly number[];
}

/** A body that at least t replicas vouch for, and their answers. Throws REPLY_UNTRUSTED, NOT_ENOUGH_REPLICAS. */
export async function verifyAnswers(reply: BeginRecoveryResponse, request: RecoveryRequest): Promise<Answers> {
  const hashed = parseReplyBody(reply);
  const terms = expectFits(hashed.body, request);
  const { attempt, silent } = reply;
  // One body is hashed and everybody's receipt is held against that hash: a coordinator that bends a mask, to learn from success
  // or failure whether it guessed the code, is refused before the code is tried.
  const claims = await verifyEach(reply.evaluations, (evaluation) => verifyReceipt(evaluation, attempt, hashed, terms, request));
  expectEnough(claims, terms.threshold, 'receipts');
  return { ...hashed, attempt, valid: claims.valid, silent };
}

/** Throws REPLY_UNTRUSTED. */
function verifyReceipt(
  evaluation: Evaluation,
  attempt: number,
  { body, bodyHash }: HashedBody,
  { remaining }: Terms,
  { statement, rid, g, point }: RecoveryRequest,
): Answer {
  const { index, enrolledAtMs, used } = evaluation;
  const replica = replicaOf(statement, index);
  const { limit } = body.policy;
  if (!shareOf(body, index) || !remaining.has(index)) throw untrusted(`replica ${index} answers, but holds no share`);
  if (attempt < 1 || attempt > limit) throw untrusted(`attempt ${attempt} of ${limit} cannot be`);
  if (used < attempt || used > limit) throw untrusted(`replica ${index} has attempt ${attempt} of ${limit}, and counted ${used}`);
  const evaluated = parseCurveX(evaluation.evaluated, 'evaluation.evaluated');
  const { fleet, epoch } = statement;
  const fields = { fleet, epoch, index, rid, g, attempt, limit, used, point, evaluated, bodyHash, enrolledAtMs };
  const { signature } = evaluation;
  expectSigned(replica, receiptTranscript(fields), signature, 'The receipt');
  return { index, evaluated, enrolledAt: Number(enrolledAtMs), used, receipt: receiptOf(fields, signature) };
}

function parseReplyBody(reply: BeginRecoveryResponse): HashedBody {
  try {
    return parseBody(reply.body);
  } catch (cause) {
    throw new VaultError('REPLY_UNTRUSTED', 'The body of the record is malformed.', { cause });
  }
}

/**
 * Replicas vouch for the body, but whether it is the one that was asked for is the client's to see. The statement says what holds for bodies of
 * its epoch. Throws REPLY_UNTRUSTED, GENERATION_UNKNOWN for an epoch that is served no more.
 */
function expectFits(body: Body, { statement, rid, g }: RecoveryRequest): Terms {
  if (body.fleet !== statement.fleet) throw untrusted('the body is of another fleet');
  if (body.epoch > BigInt(statement.epoch)) throw untrusted('the body is of an epoch to come');
  if (!constantTimeEqual(body.rid, rid) || !constantTimeEqual(body.g, g)) throw untrusted('the body is of another record or generation');
  const terms = termsOf(statement, body.epoch);
  if (body.threshold !== terms.threshold) throw untrusted('the body has another threshold than the fleet in its epoch');
  if (body.shares.some(({ index }) => !terms.indices.has(index))) throw untrusted('the body names a replica that was not there');
  return terms;
}

const untrusted = (why: string) => new VaultError('REPLY_UNTRUSTED', `The answer is refused: ${why}.`);
