import type { Millis } from '../../primitives/brand.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import type { Note } from './note.ts';
import { asCosigner, type NoteKey } from './note-key.ts';
import { cosignedAt, isSigned } from './note-signature.ts';
import { describeQuorum, isMet, type Quorum } from './quorum.ts';
import { parseTlogPolicy } from './tlog-policy.ts';

/** Whose word a log is taken at, known from elsewhere. */
export interface LogTrust {
  /** Type 0x01. Its name is the log's name, too. */
  readonly logKey: NoteKey;
  /** Of other parties, type 0x04 or 0x06. */
  readonly cosigners: readonly NoteKey[];
  /** Which of them must have cosigned. */
  readonly quorum: Quorum;
}

/** What makes a checkpoint one to rely on. */
export interface LogPolicy extends LogTrust {
  /** Counted from the log's own cosignature, and from each of those that are counted. */
  readonly checkpointAgeMost: Millis;
}

/**
 * Reads a trust policy (c2sp.org/tlog-policy) that is for one log. Throws MALFORMED for one that is not, and for one that names the log's own
 * key as a witness.
 */
export function parseLogTrust(bytes: Uint8Array): LogTrust {
  const { logs, witnesses: cosigners, quorum } = parseTlogPolicy(bytes);
  const [logKey, ...more] = logs;
  if (!logKey || more.length > 0) throw new VaultError('MALFORMED', `The trust policy is of ${logs.length} logs; a fleet has one.`);
  if (cosigners.some(({ publicKey }) => String(publicKey) === String(logKey.publicKey)))
    throw new VaultError('MALFORMED', 'The trust policy names the log’s own key as a witness: it must be another party’s.');
  return { logKey, cosigners, quorum };
}

/** Clocks differ: this much of the future is taken for now. */
const CLOCKS_DIFFER_MOST: Millis = 5 * 60 * 1000;

export interface TrustedCheckpoint extends Checkpoint {
  /** When the log said so last. */
  readonly signedAt: Millis;
  /** Names of the cosigners that were counted. */
  readonly cosigners: readonly string[];
}

/** Throws FLEET_UNTRUSTED with the check that fails in its details: checkpoint-signature, checkpoint-stale or cosignatures-few. */
export function verifyCheckpoint(note: Note, policy: LogPolicy, now: Millis): TrustedCheckpoint {
  const { logKey, quorum } = policy;
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== logKey.name)
    throw untrusted('checkpoint-signature', `The checkpoint is of the log ${checkpoint.origin}, and not of ${logKey.name}.`);
  if (!isSigned(note, logKey)) throw untrusted('checkpoint-signature', `The log ${logKey.name} did not sign the checkpoint.`);
  const signedAt = timeOf(note, asCosigner(logKey));
  if (signedAt === undefined)
    throw untrusted('checkpoint-signature', `The log ${logKey.name} does not say, signed, when it made the checkpoint.`);
  const age = now - signedAt;
  if (!isFresh(signedAt, policy, now))
    throw untrusted(
      'checkpoint-stale',
      `The checkpoint is ${age < 0 ? 'from the future' : 'too old'}: ${new Date(signedAt).toISOString()}.`,
    );
  const cosigners = freshCosigners(note, policy, now);
  const names = cosigners.map(({ name }) => name);
  if (!isMet(quorum, new Set(cosigners)))
    throw untrusted(
      'cosignatures-few',
      `Of other witnesses, ${names.join(', ') || 'none'} signed the checkpoint in time; needed: ${describeQuorum(quorum)}.`,
    );
  return { ...checkpoint, signedAt, cosigners: names };
}

const freshCosigners = (note: Note, policy: LogPolicy, now: Millis): NoteKey[] =>
  policy.cosigners.filter((key) => {
    const time = timeOf(note, key);
    return time !== undefined && isFresh(time, policy, now);
  });

const isFresh = (time: Millis, { checkpointAgeMost }: LogPolicy, now: Millis): boolean =>
  now - time <= checkpointAgeMost && time - now <= CLOCKS_DIFFER_MOST;

function timeOf(note: Note, key: NoteKey): Millis | undefined {
  const seconds = cosignedAt(note, key);
  return seconds === undefined ? undefined : seconds * 1000;
}

const untrusted = (check: string, message: string) => new VaultError('FLEET_UNTRUSTED', message, { details: { check } });
