import type { NoteKey } from './note-key.ts';

// Whose cosignatures are enough (c2sp.org/tlog-policy).

export type Quorum =
  | { readonly kind: 'witness'; readonly key: NoteKey }
  /** `least` of the members, from 0 for `quorum none`. */
  | { readonly kind: 'group'; readonly least: number; readonly members: readonly Quorum[] };

/** `cosigned` holds keys of the same policy. */
export const isMet = (quorum: Quorum, cosigned: ReadonlySet<NoteKey>): boolean =>
  quorum.kind === 'witness' ? cosigned.has(quorum.key) : quorum.members.filter((member) => isMet(member, cosigned)).length >= quorum.least;

/** In words: `2 of (one.example, two.example, 1 of (…))`. */
export function describeQuorum(quorum: Quorum): string {
  if (quorum.kind === 'witness') return quorum.key.name;
  return quorum.least === 0 ? 'none' : `${quorum.least} of (${quorum.members.map(describeQuorum).join(', ')})`;
}
