import { fromHex } from '../../primitives/bytes.ts';
import { type Body, type HashedBody, shareOf } from '../../protocol/body.ts';
import { parsePoint } from '../../protocol/point.ts';
import { SIGNATURE_LENGTH, type Signed } from '../../protocol/signature.ts';
import type { Statement } from '../../protocol/statement.ts';
import { leastThreshold, termsOf } from '../../protocol/terms.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import { preparedTranscript } from '../../protocol/transcripts.ts';
import { isSigned, publicKey } from './p256.ts';
import type { Vault } from './vault.ts';

/**
 * Whether t replicas signed a thing by their keys in force: at most t−1 lie, so one that tells the truth did. t is that of the body's epoch,
 * and only holders count; without a body, the least t of all epochs and any replica. Signatures that do not verify are as good as none.
 */
export function isSignedByEnough(
  vault: Verifier,
  signed: readonly Signed[],
  transcriptOf: (index: number) => Transcript,
  body?: Body,
): boolean {
  const { statement } = vault;
  const enough = body ? termsOf(statement, body.epoch).threshold : leastThreshold(statement);
  const counting = body ? signed.filter(({ index }) => isHolder(statement, body, index)) : signed;
  return signedBy(vault, counting, transcriptOf).length >= enough;
}

/**
 * `prepared` of holders of the body, if there are t: only then may it take the place of what it replaces. Undefined where fewer are among
 * `signed`, and for an epoch of which nothing is served.
 */
export function preparedByEnough(vault: Verifier, hashed: HashedBody, signed: readonly Signed[]): readonly Signed[] | undefined {
  const terms = vault.statement.terms.get(Number(hashed.body.epoch));
  if (!terms) return undefined;
  const prepared = preparers(vault, hashed, signed);
  return prepared.length >= terms.threshold ? prepared : undefined;
}

/** `prepared` of holders of the body, one of each. Throws GENERATION_UNKNOWN for an epoch of which nothing is served. */
export function preparers(vault: Verifier, hashed: HashedBody, signed: readonly Signed[]): Signed[] {
  const holders = signed.filter(({ index }) => isHolder(vault.statement, hashed.body, index));
  return signedBy(vault, holders, preparedIn(vault, hashed));
}

/**
 * Whether t replicas prepared it, some of which may have left the fleet, or have another token now: by the keys that the statement lists for the epoch.
 * They are evidence of nothing, so nobody is served by that; but there may be somebody else who shows it.
 */
export function wasPreparedByEnough(vault: Verifier, hashed: HashedBody, signed: readonly Signed[]): boolean {
  const { statement } = vault;
  const { body } = hashed;
  const listed = statement.document.earlier.find(({ epoch }) => BigInt(epoch) === body.epoch);
  if (!listed) return false;
  const receiptKeys = new Map(
    listed.replicas.map(({ index, receipt_key }) => [index, publicKey(parsePoint(fromHex(receipt_key, 'receipt_key'), 'receipt_key'))]),
  );
  const holders = signed.filter(({ index }) => shareOf(body, index) !== undefined);
  return signedBy({ statement, receiptKeys }, holders, preparedIn(vault, hashed)).length >= listed.threshold;
}

/** Whether this replica prepared it. */
export function isPreparedBy(vault: Verifier, hashed: HashedBody, signed: Signed): boolean {
  return signedBy(vault, [signed], preparedIn(vault, hashed)).length === 1;
}

/** Whether a replica can hold what the body names it for: by the key that it had when that was enrolled. Throws GENERATION_UNKNOWN. */
export const isHolder = (statement: Statement, body: Body, index: number): boolean =>
  shareOf(body, index) !== undefined && termsOf(statement, body.epoch).remaining.has(index);

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
