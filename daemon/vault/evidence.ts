import { type HashedBody, shareOf } from '../../protocol/body.ts';
import { SIGNATURE_LENGTH, type Signed } from '../../protocol/signature.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import { preparedTranscript } from '../../protocol/transcripts.ts';
import { isSigned } from './p256.ts';
import type { Vault } from './vault.ts';

/**
 * Whether t replicas signed a thing by their keys in force: at most t−1 lie, so one that tells the truth did. Signatures that do not verify are
 * as good as none.
 */
export function isSignedByEnough(vault: Verifier, signed: readonly Signed[], transcriptOf: (index: number) => Transcript): boolean {
  return signedBy(vault, signed, transcriptOf).length >= vault.statement.threshold;
}

/**
 * `prepared` of holders of the body, if there are t: only then may it take the place of what it replaces. Undefined where fewer are among
 * `signed`.
 */
export function preparedByEnough(vault: Verifier, hashed: HashedBody, signed: readonly Signed[]): readonly Signed[] | undefined {
  const holders = signed.filter(({ index }) => shareOf(hashed.body, index));
  const prepared = signedBy(vault, holders, preparedIn(vault, hashed));
  return prepared.length >= vault.statement.threshold ? prepared : undefined;
}

/** Whether this replica prepared it. */
export function isPreparedBy(vault: Verifier, hashed: HashedBody, signed: Signed): boolean {
  return signedBy(vault, [signed], preparedIn(vault, hashed)).length === 1;
}

const preparedIn =
  ({ statement: { fleet } }: Verifier, { body: { epoch, rid, g, previous }, bodyHash }: HashedBody) =>
  (index: number) =>
    preparedTranscript({ fleet, epoch, index, rid, g }, previous, bodyHash);

type Verifier = Pick<Vault, 'statement' | 'receiptKeys'>;

/** The signatures that verify, one of each replica. */
function signedBy({ receiptKeys }: Verifier, signed: readonly Signed[], transcriptOf: (index: number) => Transcript): Signed[] {
  const signers = new Map<number, Signed>();
  for (const { index, signature } of signed) {
    const key = receiptKeys.get(index);
    if (!key || signers.has(index) || signature.length !== SIGNATURE_LENGTH) continue;
    if (isSigned(transcriptOf(index), signature, key)) signers.set(index, { index, signature });
  }
  return [...signers.values()];
}
