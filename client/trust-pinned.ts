import { sha256 } from '@noble/hashes/sha2.js';
import { refuse } from '../fleet/verify/checks.ts';
import type { Millis } from '../primitives/brand.ts';
import { constantTimeEqual } from '../primitives/bytes.ts';
import { parseStatement, type Statement } from '../protocol/statement.ts';
import type { PinnedPolicy } from './trust-policy.ts';

/** Throws FLEET_UNTRUSTED, naming the rule that fails. */
export function trustPinned(bytes: Uint8Array, { statementHashes }: PinnedPolicy, now: Millis): Statement {
  const hash = sha256(bytes);
  if (!statementHashes.some((pinned) => constantTimeEqual(pinned, hash)))
    throw refuse('statement-not-pinned', 'The hash of the statement is not among those pinned.');
  const statement = parseStatement(bytes);
  expectInForce(statement, now);
  return statement;
}

/** Asked again before each operation: a statement that was trusted once does not stay so. Throws FLEET_UNTRUSTED. */
export function expectInForce({ document: { not_before, not_after } }: Statement, now: Millis): void {
  if (now < Date.parse(not_before)) throw refuse('statement-not-in-force', `The statement is valid from ${not_before} only.`);
  if (now >= Date.parse(not_after)) throw refuse('statement-not-in-force', `The statement was valid until ${not_after}.`);
}
