import type { ReplicaToken } from '../keys/replica.ts';
import type { KeyHandle } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';

/** What keeps a token from doing something: a rule of PKCS#11 that some tokens do not follow. */
export type Guard = 'attributes' | 'extractable' | 'copy' | 'derive' | 'unwrapTemplate' | 'allowedMechanisms' | 'trusted';

/** Something a hostile host, logged in with the PIN, may try. A fit token refuses. */
export interface Probe<Token = ReplicaToken> {
  readonly name: string;
  /** What stops it. */
  readonly stoppedBy: Guard;
  /** A token that accepts makes an object that outlives the session. */
  readonly makesTokenObject?: boolean;
  /** The means to that end. One that is accepted is enough for the host; a token may not know them all. */
  readonly ways: (profile: Profile) => readonly Way<Token>[];
}

/**
 * Prepares all that the attempt takes, where it can be shown including the same call with a key that may be used so, and gives the
 * attempt. Only what the token answers to the attempt can be a refusal: a token that refuses the preparation does not know this way.
 * Objects given to `keep` are destroyed afterwards.
 */
export type Way<Token = ReplicaToken> = (token: Token, keep: Keep) => () => unknown;

export type Keep = (key: KeyHandle) => KeyHandle;

/** One way, with what is there already. */
export const probe = <Token>(stoppedBy: Guard, name: string, attempt: (token: Token, keep: Keep) => unknown): Probe<Token> => ({
  name,
  stoppedBy,
  ways: () => [(token, keep) => () => attempt(token, keep)],
});
