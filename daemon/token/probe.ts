import type { ReplicaToken } from './replica.ts';
import type { KeyHandle } from './session.ts';

/** Something a hostile host, logged in with the PIN, may try. A fit token refuses. */
export interface Probe {
  readonly name: string;
  /** What stops it. */
  readonly stoppedBy: 'attributes' | 'unwrapTemplate' | 'allowedMechanisms' | 'trusted';
  /** Throws if the token refuses. Objects given to `keep` are destroyed afterwards. */
  readonly attempt: (token: ReplicaToken, keep: (key: KeyHandle) => KeyHandle) => unknown;
}
