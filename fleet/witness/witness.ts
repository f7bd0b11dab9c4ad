import { type Bytes, constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import type { Clock } from '../../primitives/clock.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { parseStatement, type Statement } from '../../protocol/statement.ts';
import type { EvidenceFiles } from '../verify/files.ts';
import { expectInForceNext, expectNext, readHistory } from '../verify/history.ts';
import { type InForce, isInForce, type OperatorAuthorities, parseInForce, verifyInForce } from '../verify/in-force.ts';
import { formatNewest, newestOf } from '../verify/newest.ts';
import { type Collected, type CosignerPlace, collectCosignatures } from './collect.ts';
import type { Draft, ExtensionsOf, PublishedLog } from './published-log.ts';

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

/**
 * The lines of the witness's checkpoints: the newest epoch in force of each fleet. An entry that does not verify stops the log: without it a
 * line would be missing, and what was refused would be accepted again.
 */
export const newestLines =
  (operators: OperatorAuthorities): ExtensionsOf =>
  (entries) =>
    newestOf(readHistory(entries, operators).inForce).map(formatNewest);

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
  const place = (entries: readonly Bytes[]) => placeOf(statement, entries);
  place(log.entries()); // first, since it is quick to say
  await judgement.verifyEvidence(files, statement);
  const { proofOf, ...done } = await logEntry(statement.bytes, place, options);
  return { ...done, statement, proof: proofOf(statement.bytes), bundle: judgement.signBundle(statement.bytes) };
}

export interface Enforced extends Published {
  readonly inForce: InForce;
  readonly index: number;
  /** False where the log held it already. */
  readonly isNew: boolean;
  /** That the log holds what the operator signed. */
  readonly proof: Bytes;
  /** That it holds the statement, under the same checkpoint: the new `log-proof.txt`. */
  readonly statementProof: Bytes;
}

/**
 * Logs what an operator signed to put an epoch in force, and publishes the checkpoint that names it. Can be repeated as a submission can.
 * Throws FLEET_UNTRUSTED for what the rules forbid, or nobody signed who may, LOG_CORRUPT and LOG_MISSING.
 */
export async function enforce(entry: Bytes, operators: OperatorAuthorities, options: Publishing): Promise<Enforced> {
  const inForce = parseInForce(entry);
  verifyInForce(inForce, operators);
  const place = (entries: readonly Bytes[]) => placeInForce(entry, inForce, entries, operators);
  place(options.log.entries());
  const { proofOf, ...done } = await logEntry(entry, place, options);
  const statement = statementsIn(options.log.entries()).find(({ hash }) => toHex(hash) === inForce.statement) as Statement;
  return { ...done, inForce, proof: proofOf(entry), statementProof: proofOf(statement.bytes) };
}

interface Place {
  readonly index: number;
  readonly isNew: boolean;
}

async function logEntry(entry: Bytes, place: (entries: readonly Bytes[]) => Place, options: Publishing) {
  const { log, cosigners } = options;
  // A log that was restored from an old copy would put another entry where one was: its cosigners know, and are asked before. Signing
  // the tree as it was is no fork. Throws LOG_CORRUPT.
  if (cosigners.length > 0) await draftCosigned(options);
  const { index, isNew } = append(entry, place, log);
  const { size, missing, draft, note } = await publish(options);
  const proofOf = (held: Uint8Array) => log.prove(indexOf(held, log.entries()), draft, note);
  return { index, isNew, size, missing, proofOf };
}

/** Signs the tree as it is again, with the present time: a checkpoint grows old. */
export async function refresh(options: Publishing): Promise<Published> {
  const { size, missing } = await publish(options);
  return { size, missing };
}

function append(entry: Bytes, placeIn: (entries: readonly Bytes[]) => Place, log: PublishedLog): Place {
  for (;;) {
    const place = placeIn(log.entries());
    // Where another process took the place, the rules are asked again: it may have been for the same fleet.
    if (!place.isNew || log.append(place.index, entry)) return place;
  }
}

/** Where the statement is, or belongs. Only the newest of its fleet may come again. */
function placeOf(statement: Statement, entries: readonly Bytes[]): Place {
  const statements = statementsIn(entries);
  const newest = statements.findLast(({ fleet }) => fleet === statement.fleet);
  if (newest && constantTimeEqual(newest.bytes, statement.bytes)) return { index: indexOf(statement.bytes, entries), isNew: false };
  expectNext(statements, statement);
  return { index: entries.length, isNew: true };
}

function placeInForce(entry: Bytes, inForce: InForce, entries: readonly Bytes[], operators: OperatorAuthorities): Place {
  const index = indexOf(entry, entries);
  if (index >= 0) return { index, isNew: false };
  expectInForceNext(readHistory(entries, operators), inForce);
  return { index: entries.length, isNew: true };
}

const statementsIn = (entries: readonly Bytes[]): Statement[] => entries.filter((entry) => !isInForce(entry)).map(parseStatement);

const indexOf = (entry: Uint8Array, entries: readonly Bytes[]): number => entries.findIndex((one) => constantTimeEqual(one, entry));

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
