import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import { parseStatement, type Statement } from '../../protocol/statement.ts';
import { earlierAfter } from '../../protocol/terms.ts';
import { refuse } from './checks.ts';
import { sameCanonical } from './files.ts';
import { type InForce, isInForce, type OperatorAuthorities, parseInForce, verifyInForce } from './in-force.ts';

/**
 * May this statement follow those before it in a log? Epochs of a fleet go up by one, from 1; each names the one before by its hash;
 * nothing comes twice. A log may hold several fleets. Throws FLEET_UNTRUSTED: statement-older, epoch-gap, previous-mismatch,
 * earlier-mismatch, index-reused, evidence-mismatch.
 */
export function expectNext(earlier: readonly Statement[], next: Statement): void {
  const ofFleet = earlier.filter(({ fleet }) => fleet === next.fleet);
  const last = ofFleet.at(-1);
  const { epoch, document } = next;
  if (ofFleet.some(({ hash }) => constantTimeEqual(hash, next.hash)))
    throw refuse('statement-older', `The log holds this statement of epoch ${epoch} already.`);
  if (last && epoch <= last.epoch)
    throw refuse('statement-older', `Epoch ${epoch} comes after epoch ${last.epoch}: the log holds another statement of that epoch.`);
  const expected = (last?.epoch ?? 0) + 1;
  if (epoch !== expected) throw refuse('epoch-gap', `Epoch ${epoch} comes where epoch ${expected} belongs.`);
  const previous = last ? toHex(last.hash) : null;
  if (document.previous !== previous)
    throw refuse(
      'previous-mismatch',
      `Epoch ${epoch} names ${document.previous ?? 'no statement'} as the previous one, not ${previous ?? 'none'}.`,
    );
  if (last) expectContinues(last, next);
  for (const { index } of next.replicas)
    if (!last?.replicas.some((one) => one.index === index) && ofFleet.some(({ replicas }) => replicas.some((one) => one.index === index)))
      throw refuse('index-reused', `Epoch ${epoch} gives the index ${index} to a new replica; it was that of one that left.`);
  if (document.evidence === null) throw refuse('evidence-mismatch', `The statement of epoch ${epoch} names no evidence.`);
  if (earlier.some((statement) => statement.document.evidence === document.evidence))
    throw refuse('evidence-mismatch', `The evidence of epoch ${epoch} is that of an earlier statement.`);
}

/**
 * What a statement lists of earlier epochs is what the one before it says of them: none is changed, none comes back. Throws FLEET_UNTRUSTED:
 * earlier-mismatch.
 */
export function expectContinues(last: Statement, next: Statement): void {
  const listed = next.document.earlier.map(({ epoch }) => epoch);
  const mayBe = earlierAfter(last.document, []).filter(({ epoch }) => listed.includes(epoch));
  if (sameCanonical(mayBe, next.document.earlier)) return;
  throw refuse(
    'earlier-mismatch',
    `Epoch ${next.epoch} lists earlier epochs (${listed.join(', ')}) otherwise than the statement of epoch ${last.epoch}.`,
  );
}

/** What a log holds, in its order. */
export interface History {
  readonly statements: readonly Statement[];
  readonly inForce: readonly InForce[];
}

/**
 * May this be put in force? Its statement is in the log, and what is refused already stays refused: the epoch is newer than the one in
 * force, or the same with an earlier time. Throws FLEET_UNTRUSTED: in-force-refused.
 */
export function expectInForceNext({ statements, inForce }: History, next: InForce): void {
  const { fleet, epoch, refuseOlderFrom } = next;
  if (!statements.some((one) => one.fleet === fleet && one.epoch === epoch && toHex(one.hash) === next.statement))
    throw refuse('in-force-refused', `The log holds no statement ${next.statement} of epoch ${epoch} of ${fleet}.`);
  const last = inForce.findLast((one) => one.fleet === fleet);
  if (!last || epoch > last.epoch) return;
  if (epoch < last.epoch) throw refuse('in-force-refused', `Epoch ${last.epoch} of ${fleet} is in force; epoch ${epoch} is older.`);
  if (refuseOlderFrom >= last.refuseOlderFrom)
    throw refuse('in-force-refused', `Epoch ${epoch} of ${fleet} is in force. The same again can only refuse older ones sooner.`);
}

/** Reads the entries of a log in order. Throws at the first that may not be there, saying which it is. */
export function readHistory(entries: readonly Uint8Array[], operators: OperatorAuthorities): History {
  const history = { statements: [] as Statement[], inForce: [] as InForce[] };
  for (const [index, entry] of entries.entries()) {
    try {
      if (isInForce(entry)) {
        const parsed = parseInForce(entry);
        verifyInForce(parsed, operators);
        expectInForceNext(history, parsed);
        history.inForce.push(parsed);
      } else {
        const statement = parseStatement(entry);
        expectNext(history.statements, statement);
        history.statements.push(statement);
      }
    } catch (error) {
      throw atEntry(index, error);
    }
  }
  return history;
}

/** The same refusal, saying where. */
function atEntry(index: number, error: unknown): unknown {
  if (!isVaultError(error)) return error;
  return new VaultError(error.code, `Entry ${index}: ${error.message}`, { cause: error, details: error.details });
}
