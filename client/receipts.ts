import type { Millis } from '../primitives/brand.ts';
import { constantTimeEqual, exactly } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import type { BeginRecoveryResponse, Evaluation } from '../proto/gen/backupvault/v1/vault_pb.ts';
import { type Body, HASH_LENGTH, type HashedBody, parseBody, shareOf } from '../protocol/body.ts';
import { type Receipt, receiptOf } from '../protocol/receipt.ts';
import { expectSigned } from '../protocol/signature.ts';
import { replicaOf } from '../protocol/statement.ts';
import { conflictTranscript, pointTranscript, receiptTranscript } from '../protocol/transcripts.ts';
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

/** Throws POINT_DEAD where n−t+1 replicas signed that they counted another point as this attempt: fewer than t are left that could vote. */
async function expectAlive(reply: BeginRecoveryResponse, { statement, rid, g, point }: RecoveryRequest): Promise<void> {
  const { attempt, bodyHash } = reply;
  const { fleet, epoch, threshold, replicas } = statement;
  const name = { fleet, epoch, rid, g, bodyHash, attempt, pointHash: pointTranscript(point).digest };
  const { valid } = await verifyEach(reply.conflicts, ({ index, other, signature }) => {
    exactly(HASH_LENGTH, other, 'conflict.other');
    if (constantTimeEqual(other, name.pointHash)) throw untrusted('a point is in conflict with itself');
    expectSigned(replicaOf(statement, index), conflictTranscript(index, name, other), signature, 'The conflict');
    return { index };
  });
  if (valid.length > replicas.length - threshold)
    throw new VaultError('POINT_DEAD', `The replicas counted another attempt as attempt ${attempt}: this one is worth nothing.`);
}

/** A body that at least t replicas vouch for, and their answers. Throws POINT_DEAD, REPLY_UNTRUSTED, NOT_ENOUGH_REPLICAS. */
export async function verifyAnswers(reply: BeginRecoveryResponse, request: RecoveryRequest): Promise<Answers> {
  await expectAlive(reply, request);
  const hashed = parseReplyBody(reply);
  expectFits(hashed.body, request);
  const { attempt, silent } = reply;
  // One body is hashed and everybody's receipt is held against that hash: a coordinator that bends a mask, to learn from success
  // or failure whether it guessed the code, is refused before the code is tried.
  const claims = await verifyEach(reply.evaluations, (evaluation) => verifyReceipt(evaluation, attempt, hashed, request));
  expectEnough(claims, request.statement.threshold, 'receipts');
  return { ...hashed, attempt, valid: claims.valid, silent };
}

/** Throws REPLY_UNTRUSTED. */
function verifyReceipt(
  evaluation: Evaluation,
  attempt: number,
  { body, bodyHash }: HashedBody,
  { statement, rid, g, point }: RecoveryRequest,
): Answer {
  const { index, enrolledAtMs, used } = evaluation;
  const replica = replicaOf(statement, index);
  const { limit } = body.policy;
  if (!shareOf(body, index)) throw untrusted(`replica ${index} answers, but holds no share`);
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

/** Replicas vouch for the body, but whether it is the one that was asked for is the client's to see. */
function expectFits(body: Body, { statement, rid, g }: RecoveryRequest): void {
  if (body.fleet !== statement.fleet) throw untrusted('the body is of another fleet');
  if (body.epoch > BigInt(statement.epoch)) throw untrusted('the body is of an epoch to come');
  if (!constantTimeEqual(body.rid, rid) || !constantTimeEqual(body.g, g)) throw untrusted('the body is of another record or generation');
  if (body.threshold !== statement.threshold) throw untrusted('the body has another threshold than the fleet');
  if (body.shares.some(({ index }) => index > statement.replicas.length)) throw untrusted('the body names a replica that is not there');
}

const untrusted = (why: string) => new VaultError('REPLY_UNTRUSTED', `The answer is refused: ${why}.`);
