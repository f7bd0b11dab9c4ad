import type { ReplicaToken } from './replica.ts';
import type { KeyHandle } from './session.ts';

/** What keeps a token from doing something: a rule of PKCS#11 that some tokens do not follow. */
export type Guard = 'attributes' | 'extractable' | 'copy' | 'derive' | 'unwrapTemplate' | 'allowedMechanisms' | 'trusted';

/** Something a hostile host, logged in with the PIN, may try. A fit token refuses. */
export interface Probe<Token = ReplicaToken> {
  readonly name: string;
  /** What stops it. */
  readonly stoppedBy: Guard;
  /** A token that accepts makes an object that outlives the session. */
  readonly makesTokenObject?: boolean;
  /** Throws if the token refuses. Objects given to `keep` are destroyed afterwards. */
  readonly attempt: (token: Token, keep: (key: KeyHandle) => KeyHandle) => unknown;
}

export const probe = <Token>(stoppedBy: Guard, name: string, attempt: Probe<Token>['attempt']): Probe<Token> => ({
  name,
  stoppedBy,
  attempt,
});
