import type { KeyName } from '../keys/key-sets.ts';
import type { TokenWith } from '../keys/replica.ts';
import type { KeyHandle } from '../pkcs11/session.ts';
import type { Profile } from '../profile.ts';

/** A token and its four keys, on which attempts are made. */
export type Target = TokenWith<KeyName>;

/** Of no key. */
export type AnyToken = TokenWith<never>;

/** What keeps a token from doing something: rules of PKCS#11 that some tokens do not follow, and what no token may be without. */
export type Guard = 'attributes' | 'points' | 'extractable' | 'copy' | 'derive' | 'allowedMechanisms';

/** Something a hostile host, logged in with the PIN, may try. A fit token refuses. */
export interface Probe {
  readonly name: string;
  /** What stops it. */
  readonly stoppedBy: Guard;
  /** The means to that end. One that is accepted is enough for the host; a token may not know them all. */
  readonly ways: (profile: Profile) => readonly Way[];
  /** Any failure refuses it, if the preparation works once more afterwards: what counts is that nothing came out. */
  readonly anyFailure?: boolean;
}

/**
 * Prepares all that the attempt takes, where it can be shown including the same call with what may be done so, and gives the attempt. Only
 * what the token answers to the attempt can be a refusal: a token that refuses the preparation does not know this way. Objects given to
 * `keep` are destroyed afterwards.
 */
export type Way = (token: Target, keep: Keep) => () => unknown;

export type Keep = (key: KeyHandle) => KeyHandle;

/** One way, with what is there already. */
export const probe = (stoppedBy: Guard, name: string, attempt: (token: Target, keep: Keep) => unknown): Probe => ({
  name,
  stoppedBy,
  ways: () => [(token, keep) => () => attempt(token, keep)],
});
