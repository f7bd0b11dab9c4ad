import { VaultError } from '../../../primitives/errors.ts';
import type { TokenSession } from '../pkcs11/session.ts';
import { FIRST_SET, findKeySets, isInherited, type KeyOwner, type KeySet, keyLabel } from './key-sets.ts';
import { bootLabel } from './replica.ts';

/** The sets that a token inherited of a replica that it does not hold. Throws CONFIG_INVALID where it holds anything else of it. */
export function requireVacant(session: TokenSession, owner: KeyOwner): KeySet[] {
  for (const label of [keyLabel(owner, 'receipt', FIRST_SET), bootLabel(owner)])
    if (session.find({ label }, 1).length > 0) throw occupied(`holds ${label} already`);
  const sets = findKeySets(session, owner);
  const own = sets.find((set) => !isInherited(session, set));
  if (own) throw occupied(`holds set ${own.number} of the keys of replica ${owner.index} of ${owner.fleet} already`);
  return sets;
}

/** Of the pair that takes in a bequest. */
export const heirLabel = ({ fleet, index }: KeyOwner): string => `bkv/${fleet}/${index}/heir`;

export function requireNoHeir(session: TokenSession, owner: KeyOwner): void {
  if (session.find({ label: heirLabel(owner) }, 1).length > 0)
    throw occupied('waits for a bequest (let it inherit, or give up: bkvctl keys heir --give-up)');
}

const occupied = (does: string): VaultError => new VaultError('CONFIG_INVALID', `The token ${does}: nothing was made.`);
