import { isVaultError, VaultError } from '../primitives/errors.ts';

export interface Claims<T> {
  readonly valid: readonly T[];
  readonly refused: number;
}

/** What several replicas say, each for itself: those claims that `verify` lets pass, in order, the first of each replica. */
export async function verifyEach<Claim, T extends { readonly index: number }>(
  claims: readonly Claim[],
  verify: (claim: Claim) => T | Promise<T>,
): Promise<Claims<T>> {
  const valid = new Map<number, T>();
  let refused = 0;
  for (const claim of claims)
    try {
      const verified = await verify(claim);
      if (!valid.has(verified.index)) valid.set(verified.index, verified);
    } catch (error) {
      if (!isVaultError(error)) throw error;
      refused++; // a hostile replica harms its own claim and no other
    }
  return { valid: [...valid.values()].sort((a, b) => a.index - b.index), refused };
}

/** Throws REPLY_UNTRUSTED if claims had to be refused and too few are left, NOT_ENOUGH_REPLICAS if too few came. */
export function expectEnough<T>({ valid, refused }: Claims<T>, needed: number, what: string): void {
  if (valid.length >= needed) return;
  const details = { replicasAnswered: valid.length, replicasNeeded: needed };
  if (refused > 0) throw new VaultError('REPLY_UNTRUSTED', `${refused} of the ${what} do not verify, and too few are left.`, { details });
  throw new VaultError('NOT_ENOUGH_REPLICAS', `There are too few ${what}.`, { details });
}
