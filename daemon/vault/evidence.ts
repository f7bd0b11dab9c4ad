import { type Body, shareOf } from '../../protocol/body.ts';
import { SIGNATURE_LENGTH } from '../../protocol/signature.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import { isSigned } from './p256.ts';
import type { Vault } from './vault.ts';

/** What one replica signed. */
export interface Signed {
  readonly index: number;
  readonly signature: Uint8Array;
}

/**
 * Whether t replicas signed a thing by their keys in force: at most t−1 lie, so one that tells the truth did. Only holders count, where a
 * body says who they are. Signatures that do not verify are as good as none.
 */
export function isSignedByEnough(
  { statement, receiptKeys }: Pick<Vault, 'statement' | 'receiptKeys'>,
  signed: readonly Signed[],
  transcriptOf: (index: number) => Transcript,
  holders?: Body,
): boolean {
  const signers = new Set<number>();
  for (const { index, signature } of signed) {
    const key = receiptKeys.get(index);
    if (!key || signers.has(index) || signature.length !== SIGNATURE_LENGTH || (holders && !shareOf(holders, index))) continue;
    if (isSigned(transcriptOf(index), signature, key)) signers.add(index);
    if (signers.size === statement.threshold) return true;
  }
  return false;
}
