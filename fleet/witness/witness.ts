import { type Bytes, constantTimeEqual } from '../../primitives/bytes.ts';
import type { Clock } from '../../primitives/clock.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { parseStatement, type Statement } from '../../protocol/statement.ts';
import type { EvidenceFiles } from '../verify/files.ts';
import { expectNext } from '../verify/history.ts';
import { type Collected, type CosignerPlace, collectCosignatures } from './collect.ts';
import type { Draft, PublishedLog } from './published-log.ts';

/** What a witness does to what it is given. Injected, so that the log's rules can be read, and tested, without them. */
export interface Judgement {
  /** Throws FLEET_UNTRUSTED, with the check that fails in its details. `statement` is the one in the files. */
  verifyEvidence(files: EvidenceFiles, statement: Statement): void | Promise<void>;
  /** The witness's layer of the validation bundle: S/MIME over the statement's bytes. */
  signBundle(statement: Bytes): string;
}

export interface WitnessOptions {
  readonly log: PublishedLog;
  readonly judgement: Judgement;
  /** Other witnesses, that cosign this one's checkpoints. */
  readonly cosigners: readonly CosignerPlace[];
  readonly clock: Pick<Clock, 'now'>;
}

type Publishing = Omit<WitnessOptions, 'judgement'>;

export interface Submitted extends Published {
  readonly statement: Statement;
  readonly index: number;
  /** False where the log held the statement already: an earlier submission was cut short, or is made fresh. */
  readonly isNew: boolean;
  /** The content of `log-proof.txt`. */
  readonly proof: Bytes;
  /** For the operator to sign over. */
  readonly bundle: string;
}

interface Published {
  readonly size: number;
  readonly missing: Collected['missing'];
}

/**
 * Judges, appends, publishes, signs; in that order, so that nothing is signed that is not in the log. Every step can be repeated: the
 * same statement again, after whatever happened, ends with the same entry. Throws FLEET_UNTRUSTED for what the rules or the evidence
 * forbid, LOG_CORRUPT and LOG_MISSING.
 */
export async function submit(files: EvidenceFiles, options: WitnessOptions): Promise<Submitted> {
  const bytes = files.get('statement.json');
  if (bytes === undefined) throw new VaultError('CONFIG_INVALID', 'The evidence holds no statement.json.');
  const statement = parseStatement(bytes);
  const { log, judgement } = options;
  placeOf(statement, log.entries()); // first, since it is quick to say
  await judgement.verifyEvidence(files, statement);
  // A log that was restored from an old copy would put another entry where one was: its cosigners know, and are asked before. Signing
  // the tree as it was is no fork. Throws LOG_CORRUPT.
  if (options.cosigners.length > 0) await draftCosigned(options);
  const { index, isNew } = append(statement, log);
  const { size, missing, draft, note } = await publish(options);
  const proof = log.prove(index, draft, note);
  return { statement, index, isNew, missing, size, proof, bundle: judgement.signBundle(statement.bytes) };
}

/** Signs the tree as it is again, with the present time: a checkpoint grows old. */
export async function refresh(options: Publishing): Promise<Published> {
  const { size, missing } = await publish(options);
  return { size, missing };
}

function append(statement: Statement, log: PublishedLog): { index: number; isNew: boolean } {
  for (;;) {
    const place = placeOf(statement, log.entries());
    // Where another process took the place, the rules are asked again: it may have been for the same fleet.
    if (!place.isNew || log.append(place.index, statement.bytes)) return place;
  }
}

/** Where the statement is, or belongs. Only the newest of its fleet may come again. */
function placeOf(statement: Statement, entries: readonly Bytes[]): { index: number; isNew: boolean } {
  const statements = entries.map(parseStatement);
  const newest = statements.findLastIndex(({ fleet }) => fleet === statement.fleet);
  if (newest >= 0 && constantTimeEqual(entries[newest] as Bytes, statement.bytes)) return { index: newest, isNew: false };
  expectNext(statements, statement);
  return { index: entries.length, isNew: true };
}

async function publish(options: Publishing): Promise<Published & { draft: Draft; note: Draft['note'] }> {
  const { draft, cosignatures, missing } = await draftCosigned(options);
  return { size: draft.checkpoint.size, missing, draft, note: options.log.publish(draft, cosignatures) };
}

/** A cosigner may know a larger tree from another process of this log that was quicker: no alarm, where its entries are here as well. */
async function draftCosigned({ log, cosigners, clock }: Publishing): Promise<Collected & { draft: Draft }> {
  for (;;) {
    const draft = log.draft(clock.now());
    try {
      return { draft, ...(await collectCosignatures(draft, cosigners)) };
    } catch (error) {
      if (!isVaultError(error, 'LOG_CORRUPT') || log.entries().length <= draft.checkpoint.size) throw error;
    }
  }
}
