import { create } from '@bufbuild/protobuf';
import { type Bytes, constantTimeEqual } from '../primitives/bytes.ts';
import { isVaultError, VaultError } from '../primitives/errors.ts';
import type { SecretBytes } from '../primitives/secret-bytes.ts';
import { BeginRecoveryRequestSchema, type BeginRecoveryResponse } from '../proto/gen/backupvault/v1/vault_pb.ts';
import type { Statement } from '../protocol/statement.ts';
import { termsOf } from '../protocol/terms.ts';
import { insistInTurn, isUntrusted } from './insist.ts';
import { findSecret, unmaskShares } from './open-body.ts';
import type { Blinded } from './oprf.ts';
import { type Answers, type RecoveryRequest, verifyAnswers } from './receipts.ts';
import { usedOf } from './used.ts';
import type { Progress, Vault } from './vault.ts';

/** Pauses before the holders that did not answer are asked once more, with the same point. */
const ASK_AGAIN_MS = [500, 2000];

/** An attempt whose code was right. */
export interface OpenedAttempt extends Answers {
  readonly s: SecretBytes;
}

/**
 * Sends one point until its code is known to be right or wrong. That the code is wrong is said only after every holder answered
 * that can be heard: with a hostile replica among t answers, a right code looks wrong. And a coordinator may leave holders out without a word: so
 * where some are missing, t−1 others are asked. Of t coordinators one is honest. Throws WRONG_CODE, and what `insist` gives up on.
 */
export async function tryPoint(
  vault: Pick<Vault, 'transport' | 'clock' | 'made' | 'onReceipts' | 'argon2id'>,
  recordId: string,
  request: RecoveryRequest,
  blinded: Blinded,
  progress: Progress,
): Promise<OpenedAttempt> {
  const keys = new Map<number, Bytes>();
  try {
    return await tryUntilKnown(vault, recordId, request, { blinded, argon2id: vault.argon2id, keys }, progress);
  } finally {
    for (const key of keys.values()) key.fill(0);
  }
}

async function tryUntilKnown(
  { transport, clock, made, onReceipts }: Pick<Vault, 'transport' | 'clock' | 'made' | 'onReceipts'>,
  recordId: string,
  request: RecoveryRequest,
  unmasking: Parameters<typeof unmaskShares>[2],
  progress: Progress,
): Promise<OpenedAttempt> {
  const { g, point, statement } = request;
  const message = { recordId, g, point, epoch: BigInt(statement.epoch) };
  const turns = { turn: 0 };
  let asked = 0; // the latest turn that somebody was asked at
  const send = (turn: number) => {
    asked = turn;
    return transport.beginRecovery(create(BeginRecoveryRequestSchema, { ...message, turn }));
  };
  const read = (reply: BeginRecoveryResponse) => verifyAnswers(reply, request);
  const ask = async (): Promise<Answers> => {
    progress('asking');
    const answers = await insistInTurn(clock, { turns, replicas: statement.replicas.length, send, read, isUntrue: isUntrusted });
    made.note(g, answers.attempt);
    onReceipts(
      statement,
      answers.valid.map(({ receipt }) => receipt),
    );
    return answers;
  };
  const open = async ({ body, valid }: Answers): Promise<SecretBytes | undefined> => {
    progress('stretching');
    const shares = await unmaskShares(body, valid, unmasking);
    progress('combining');
    return findSecret(body, shares);
  };

  const pauses = ASK_AGAIN_MS.values();
  let heard = await ask();
  const first = asked;
  for (;;) {
    const s = await open(heard);
    if (s) return { ...heard, s };
    let answers: Answers | undefined;
    while (!answers) {
      const pause = isWaiting(heard) ? pauses.next().value : undefined;
      if (pause === undefined && (isComplete(heard, statement) || asked - first >= statement.threshold - 1)) throw wrongCode(heard);
      if (pause !== undefined) await clock.sleep(pause);
      turns.turn = asked + 1; // whom this coordinator did not hear, or left out, another one may hear
      answers = await ask().catch(noAnswers);
    }
    const merged = merge(heard, answers);
    if (merged === answers) unmasking.keys.clear(); // of another body
    heard = merged;
  }
}

/**
 * t holders signed that the attempt was made, and what they answered. What a coordinator says afterwards, unsigned, makes that no less true: a hostile one
 * would else have the user take the outcome for another. Nothing is lost by passing it over, since the code stays in doubt while a holder is missing.
 */
function noAnswers(error: unknown): undefined {
  if (!isVaultError(error)) throw error;
}

/** A replica that answered once need not answer again, also where the point has got another number meanwhile: its answer is the same under any. */
function merge(before: Answers, now: Answers): Answers {
  if (!constantTimeEqual(before.bodyHash, now.bodyHash)) return now;
  const news = now.valid.filter(({ index }) => !before.valid.some((answer) => answer.index === index));
  return { ...now, valid: [...before.valid, ...news] };
}

/** Of the holders that are in the fleet today, as the token of then. */
const isComplete = ({ body, valid }: Answers, statement: Statement) => {
  const { remaining } = termsOf(statement, body.epoch);
  return body.shares.every(({ index }) => !remaining.has(index) || valid.some((answer) => answer.index === index));
};

/** Whether some holder may yet be heard. One that is known to be away is not waited for: the code stays in doubt, and the point free. */
const isWaiting = ({ silent, valid }: Answers) => silent.some((index) => !valid.some((answer) => answer.index === index));

function wrongCode(answers: Answers): VaultError {
  const { body, valid } = answers;
  const { limit } = body.policy;
  const { attempts, unconfirmed } = usedOf(answers);
  const silent = body.shares.length - valid.length;
  const doubt = silent === 0 ? '' : ` ${silent} of the record’s holders did not answer: the same code may be sent again and costs nothing.`;
  const more = unconfirmed === undefined ? '' : ` Fewer replicas than show it say that ${unconfirmed} were used.`;
  return new VaultError('WRONG_CODE', `The code is wrong; ${limit - attempts} of ${limit} attempts are left.${more}${doubt}`, {
    details: { attemptsUsed: attempts, attemptsLimit: limit, replicasAnswered: valid.length, replicasNeeded: body.shares.length },
  });
}
