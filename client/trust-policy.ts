import { sha256 } from '@noble/hashes/sha2.js';
import type { Brand, Millis } from '../primitives/brand.ts';
import { constantTimeEqual } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';
import { parseStatement, type Statement } from '../protocol/statement.ts';

/** Whom a device believes about the fleet's keys. There is no default: a policy that is forgotten must not compile. */
export type TrustPolicy = {
  readonly kind: 'pinned';
  /** SHA-256 of each canonical statement that the app was built to accept. */
  readonly statementHashes: readonly Uint8Array[];
};

/** Comes from `trustStatement` alone; nothing else of the client takes a fleet's keys. */
export type TrustedStatement = Brand<Statement, 'TrustedStatement'>;

/** Throws FLEET_UNTRUSTED, naming the rule that fails. */
export async function trustStatement(bytes: Uint8Array, policy: TrustPolicy, now: Millis): Promise<TrustedStatement> {
  expectVouchedFor(bytes, policy);
  const statement = parseStatement(bytes);
  expectInForce(statement, now);
  return statement as TrustedStatement;
}

function expectVouchedFor(bytes: Uint8Array, policy: TrustPolicy): void {
  const hash = sha256(bytes);
  if (!policy.statementHashes.some((pinned) => constantTimeEqual(pinned, hash))) throw untrusted('its hash is not among those pinned');
}

/** Asked again before each operation: a statement that was trusted once does not stay so. */
export function expectInForce(statement: Statement, now: Millis): void {
  const { not_before, not_after } = statement.document;
  if (now < Date.parse(not_before)) throw untrusted(`it is valid from ${not_before}`);
  if (now >= Date.parse(not_after)) throw untrusted(`it was valid until ${not_after}`);
}

const untrusted = (why: string) => new VaultError('FLEET_UNTRUSTED', `The fleet statement is refused: ${why}.`);
