import { p256 } from '@noble/curves/nist.js';
import { VaultError } from '../primitives/errors.ts';
import type { Replica } from './statement.ts';
import type { Transcript } from './transcript.ts';

export const SIGNATURE_LENGTH = 64;

/** What one replica signed, by its receipt key. */
export interface Signed {
  readonly index: number;
  readonly signature: Uint8Array;
}

/** Throws REPLY_UNTRUSTED unless replica i's receipt key signed it: ECDSA P-256 with SHA-256, r‖s. */
export function expectSigned(replica: Replica, transcript: Transcript, signature: Uint8Array, what: string): void {
  // Tokens do not care for low s, and no promise rests on a signature being the only one. The library throws for another length.
  const verifies = () => p256.verify(signature, transcript.digest, replica.receiptKey, { prehash: false, lowS: false });
  if (signature.length !== SIGNATURE_LENGTH || !verifies())
    throw new VaultError('REPLY_UNTRUSTED', `${what} of replica ${replica.index} is not signed by its receipt key.`);
}
