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
  const valid: T[] = [];
  let refused = 0;
  for (const claim of claims)
    try {
      valid.push(await verify(claim));
    } catch (error) {
      if (!isVaultError(error)) throw error;
      refused++; // a hostile replica harms its own claim and no other
    }
  return together([{ valid, refused }]);
}

/** What came with several replies, in order, the first of each replica. */
export function together<T extends { readonly index: number }>(replies: readonly Claims<T>[]): Claims<T> {
  const first = new Map<number, T>();
  for (const claim of replies.flatMap(({ valid }) => valid)) if (!first.has(claim.index)) first.set(claim.index, claim);
  const valid = [...first.values()].sort((a, b) => a.index - b.index);
  return { valid, refused: replies.reduce((sum, { refused }) => sum + refused, 0) };
}

/** Throws REPLY_UNTRUSTED if claims had to be refused and too few are left, NOT_ENOUGH_REPLICAS if too few came. */
export function expectEnough<T>({ valid, refused }: Claims<T>, needed: number, what: string): void {
  if (valid.length >= needed) return;
  const details = { replicasAnswered: valid.length, replicasNeeded: needed };
  if (refused > 0) throw new VaultError('REPLY_UNTRUSTED', `${refused} of the ${what} do not verify, and too few are left.`, { details });
  throw new VaultError('NOT_ENOUGH_REPLICAS', `There are too few ${what}.`, { details });
}
