import { randomBytes } from 'node:crypto';
import { type Bytes, exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { ReplicaToken, StorageToken } from './keys/replica.ts';
import { macKey } from './keys/templates.ts';
import { positiveControl } from './pkcs11/failure.ts';
import { CKM, plain } from './pkcs11/mechanisms.ts';
import { type KeyHandle, saysWrong, type WrongSignature } from './pkcs11/session.ts';
import type { MacCheck } from './port.ts';

const hmac = plain(CKM.SHA256_HMAC);

/** PKCS#11 2.40 §11.1: SIGNATURE_INVALID, SIGNATURE_LEN_RANGE. A verdict; whatever else a profile has for one may be a fault, too. */
const VERDICTS = [0xc0, 0xc1];

/** TokenPort.mac */
export const mac = (token: ReplicaToken, digest: Uint8Array): Bytes =>
  token.session.sign(hmac, token.keys.mac, exactly(32, digest, 'the digest'), 32);

/** TokenPort.verifyMac, and the first line of everything that unwraps. */
export function requireMac(token: StorageToken, check: MacCheck, refusal: 'MAC_REFUSED' | 'TICKET_REFUSED'): void {
  exactly(32, check.digest, 'the digest');
  exactly(32, check.tag, 'the tag'); // SoftHSM accepts no other length; a token that takes a truncated tag must not get one
  if (!verifies(token, token.keys.mac, check.digest, check.tag))
    throw new VaultError(refusal, 'The MAC is not one that this replica’s token made for these values.');
}

/** Compares the proof in the token, which holds the only copy of `auth` on this side. Throws PROOF_REFUSED. */
export function requireProof(token: StorageToken, auth: KeyHandle, transcript: Uint8Array, proof: Uint8Array): void {
  if (!verifies(token, auth, transcript, proof))
    throw new VaultError('PROOF_REFUSED', 'The proof was not made with the secret that was enrolled.');
}

/** TokenPort.sign */
export const sign = (token: ReplicaToken, digest: Uint8Array): Bytes =>
  token.session.sign(plain(CKM.ECDSA), token.keys.receipt, exactly(32, digest, 'the digest'), 64);

/** Shows that the token computes with its keys. */
export function requireMacs(token: ReplicaToken): void {
  positiveControl(() => mac(token, randomBytes(32)));
}

/** Where the answer is no clear verdict, the token has to verify a genuine MAC of a new key first, and is then asked again. */
function verifies({ session, profile }: StorageToken, key: KeyHandle, data: Uint8Array, signature: Uint8Array): boolean {
  const answer = (wrong: WrongSignature) => session.verify(hmac, key, data, signature, wrong);
  try {
    return answer(VERDICTS);
  } catch (error) {
    if (!saysWrong(error, profile.wrongSignature)) throw error;
    const fresh = randomBytes(32);
    positiveControl(() =>
      session.withTemporary((keep) => {
        const control = keep(session.generateKey(plain(CKM.GENERIC_SECRET_KEY_GEN), { ...macKey(profile), token: false }));
        session.verify(hmac, control, fresh, session.sign(hmac, control, fresh, 32), []);
      }),
    );
    return answer(profile.wrongSignature);
  }
}
