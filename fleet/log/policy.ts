import type { Millis } from '../../primitives/brand.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import type { Note } from './note.ts';
import { asCosigner, type NoteKey } from './note-key.ts';
import { cosignedAt, isSigned } from './note-signature.ts';

/** What makes a checkpoint one to rely on. */
export interface LogPolicy {
  /** Type 0x01. Its name is the log's name, too. */
  readonly logKey: NoteKey;
  /** Of other parties, type 0x04. The log's own does not count, nor does one key under two names. */
  readonly cosigners: readonly NoteKey[];
  readonly cosignaturesLeast: number;
  /** Counted from the log's own cosignature, and from each of those that are counted. */
  readonly checkpointAgeMost: Millis;
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
  const { logKey, cosignaturesLeast } = policy;
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
  if (cosigners.length < cosignaturesLeast)
    throw untrusted(
      'cosignatures-few',
      `${cosigners.length} other witnesses signed the checkpoint in time; ${cosignaturesLeast} are needed.`,
    );
  return { ...checkpoint, signedAt, cosigners };
}

function freshCosigners(note: Note, policy: LogPolicy, now: Millis): string[] {
  const counted = new Map<string, string>(); // by public key
  for (const key of policy.cosigners) {
    const time = timeOf(note, key);
    if (time !== undefined && isFresh(time, policy, now)) counted.set(String(key.publicKey), key.name);
  }
  counted.delete(String(policy.logKey.publicKey));
  return [...counted.values()];
}

const isFresh = (time: Millis, { checkpointAgeMost }: LogPolicy, now: Millis): boolean =>
  now - time <= checkpointAgeMost && time - now <= CLOCKS_DIFFER_MOST;

function timeOf(note: Note, key: NoteKey): Millis | undefined {
  const seconds = cosignedAt(note, key);
  return seconds === undefined ? undefined : seconds * 1000;
}

const untrusted = (check: string, message: string) => new VaultError('FLEET_UNTRUSTED', message, { details: { check } });
