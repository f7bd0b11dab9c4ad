import { type Body, shareOf } from '../../protocol/body.ts';
import { SIGNATURE_LENGTH } from '../../protocol/signature.ts';
import type { Statement } from '../../protocol/statement.ts';
import { leastThreshold, termsOf } from '../../protocol/terms.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import { isSigned } from './p256.ts';
import type { Vault } from './vault.ts';

/** What one replica signed. */
export interface Signed {
  readonly index: number;
  readonly signature: Uint8Array;
}

/**
 * Whether t replicas signed a thing by their keys in force: at most t−1 lie, so one that tells the truth did. t is that of the body's epoch,
 * and only holders count; without a body, the least t of all epochs and any replica. Signatures that do not verify are as good as none.
 */
export function isSignedByEnough(
  { statement, receiptKeys }: Pick<Vault, 'statement' | 'receiptKeys'>,
  signed: readonly Signed[],
  transcriptOf: (index: number) => Transcript,
  body?: Body,
): boolean {
  const enough = body ? termsOf(statement, body.epoch).threshold : leastThreshold(statement);
  const signers = new Set<number>();
  for (const { index, signature } of signed) {
    const key = receiptKeys.get(index);
    if (!key || signers.has(index) || signature.length !== SIGNATURE_LENGTH || (body && !isHolder(statement, body, index))) continue;
    if (isSigned(transcriptOf(index), signature, key)) signers.add(index);
    if (signers.size === enough) return true;
  }
  return false;
}

/** Whether a replica can hold what the body names it for: by the key that it had when that was enrolled. Throws GENERATION_UNKNOWN. */
export const isHolder = (statement: Statement, body: Body, index: number): boolean =>
  shareOf(body, index) !== undefined && termsOf(statement, body.epoch).remaining.has(index);
