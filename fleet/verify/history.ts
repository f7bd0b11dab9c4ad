import { constantTimeEqual, toHex } from '../../primitives/bytes.ts';
import { parseStatement, type Statement } from '../../protocol/statement.ts';
import { refuse } from './checks.ts';

/**
 * May this statement follow those before it in a log? Epochs of a fleet go up by one, from 1; each names the one before by its hash;
 * nothing comes twice. A log may hold several fleets. Throws FLEET_UNTRUSTED: statement-older, epoch-gap, previous-mismatch,
 * evidence-mismatch.
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
  if (document.evidence === null) throw refuse('evidence-mismatch', `The statement of epoch ${epoch} names no evidence.`);
  if (earlier.some((statement) => statement.document.evidence === document.evidence))
    throw refuse('evidence-mismatch', `The evidence of epoch ${epoch} is that of an earlier statement.`);
}

/** Reads the entries of a log in order, and stops at the first that may not be there. */
export function readHistory(entries: readonly Uint8Array[]): { statements: Statement[]; flaw?: { index: number; error: unknown } } {
  const statements: Statement[] = [];
  for (const [index, entry] of entries.entries()) {
    try {
      const statement = parseStatement(entry);
      expectNext(statements, statement);
      statements.push(statement);
    } catch (error) {
      return { statements, flaw: { index, error } };
    }
  }
  return { statements };
}
