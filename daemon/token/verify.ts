import { type Bytes, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { CKM, plain } from './mechanisms.ts';
import type { MacCheck } from './port.ts';
import type { ReplicaToken, StorageToken } from './replica.ts';
import type { KeyHandle } from './session.ts';

const hmac = plain(CKM.SHA256_HMAC);

/** TokenPort.mac */
export const mac = (token: ReplicaToken, digest: Uint8Array): Bytes =>
  token.session.sign(hmac, token.keys.mac, exactly(32, digest, 'the digest'), 32);

/** TokenPort.verifyMac, and the first line of everything that unwraps. */
export function requireMac(token: StorageToken, check: MacCheck, refusal: 'MAC_REFUSED' | 'TICKET_REFUSED'): void {
  exactly(32, check.digest, 'the digest');
  exactly(32, check.tag, 'the tag'); // SoftHSM accepts no other length; a token that takes a truncated tag must not get one
  if (!token.session.verify(hmac, token.keys.mac, check.digest, check.tag, token.profile.wrongSignature))
    throw new VaultError(refusal, 'The MAC is not one that this replica’s token made for these values.');
}

/** Compares the proof in the token, which holds the only copy of `auth` on this side. Throws PROOF_REFUSED. */
export function requireProof(token: StorageToken, auth: KeyHandle, transcript: Uint8Array, proof: Uint8Array): void {
  if (!token.session.verify(hmac, auth, transcript, proof, token.profile.wrongSignature))
    throw new VaultError('PROOF_REFUSED', 'The proof was not made with the secret that was enrolled.');
}

/** TokenPort.sign */
export const sign = (token: ReplicaToken, digest: Uint8Array): Bytes =>
  token.session.sign(plain(CKM.ECDSA), token.keys.receipt, exactly(32, digest, 'the digest'), 64);
