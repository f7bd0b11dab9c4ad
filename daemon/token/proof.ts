import { createHash, createPublicKey, verify } from 'node:crypto';
import { type Bytes, concat, exactly, fromHex, utf8 } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { isScalar } from '../../protocol/scalar.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import { decompress } from './curve.ts';
import { explained } from './keys/explain-refusal.ts';
import { inForm } from './keys/public-point.ts';
import type { TokenWith } from './keys/replica.ts';
import { proofKey } from './keys/templates.ts';
import type { Template } from './pkcs11/attributes.ts';
import { CKM, plain } from './pkcs11/mechanisms.ts';
import type { KeyHandle } from './pkcs11/session.ts';
import type { Profile } from './profile.ts';
import { verifiesSignature } from './verify.ts';

type Token = TokenWith<never>;

/**
 * That whoever asks for a release knew the code: an ECDSA signature r‖s by the key of A. Throws PROOF_REFUSED, and MALFORMED where A is
 * not a point of the curve.
 */
export function requireProof(token: Token, publicKey: CompressedPoint, transcript: Transcript, proof: Uint8Array): void {
  const point = decompress(publicKey, 'the proof key');
  exactly(64, proof, 'the proof');
  // Before the token sees it: what a verifier makes of r or s out of range is a fault of many.
  const isInRange = isScalar(proof.subarray(0, 32)) && isScalar(proof.subarray(32));
  const verifies = token.profile.verify === 'token' ? inToken : onHost;
  if (!isInRange || !verifies(token, point, transcript, proof))
    throw new VaultError('PROOF_REFUSED', 'The proof was not made with the key that the body names, for this attempt and these values.');
}

/** With its public key as an object of the session, for one C_Verify. */
const inToken = (token: Token, point: Bytes, { digest }: Transcript, proof: Uint8Array): boolean =>
  token.session.withTemporary((keep) => verifiesSignature(token, keep(importKey(token, point)), digest, proof, verifiesKnown));

const importKey = ({ session, profile }: Token, point: Bytes): KeyHandle => session.create(templateOf(profile, point));

const templateOf = (profile: Profile, point: Bytes): Template => ({ ...proofKey(profile), ecPoint: inForm(profile.readPoint, point) });

/** OpenSSL hashes for itself. */
function onHost(_: Token, point: Bytes, { preimage }: Transcript, signature: Uint8Array): boolean {
  const key = createPublicKey({ key: Buffer.concat([SPKI, point]), format: 'der', type: 'spki' });
  return verify('sha256', preimage, { key, dsaEncoding: 'ieee-p1363' }, signature);
}

/** SubjectPublicKeyInfo of a P-256 key, up to its uncompressed point (RFC 5480 §2). */
const SPKI = fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'the head of a public key');

function verifiesKnown(token: Token): void {
  token.session.withTemporary((keep) =>
    token.session.verify(plain(CKM.ECDSA), keep(importKey(token, known.point)), known.digest, known.signature, []),
  );
}

/** Imports a public key once, and says what of it the token refuses and which field of the profile would help. */
export function explainProofKey({ session, profile }: Token): void {
  if (profile.verify === 'host') return;
  const [key] = explained(session, {
    what: 'a client’s public key, which `verify: host` does without',
    mechanismField: 'verify',
    asked: [{ kind: 'publicKey', template: templateOf(profile, known.point) }],
    make: ([template = {}]) => [session.create(template)],
  });
  if (key) session.destroy(key);
}

/** RFC 6979 A.2.5: P-256, SHA-256, message "sample". */
const known = {
  point: concat(
    Uint8Array.of(4),
    fromHex('60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6', 'Ux'),
    fromHex('7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299', 'Uy'),
  ),
  digest: new Uint8Array(createHash('sha256').update(utf8('sample')).digest()),
  signature: concat(
    fromHex('efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716', 'r'),
    fromHex('f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8', 's'),
  ),
};
