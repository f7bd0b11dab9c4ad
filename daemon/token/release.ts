import { type Bytes, exactly } from '../../primitives/bytes.ts';
import { asOf, type ReplicaToken } from './keys/replica.ts';
import { plain } from './pkcs11/mechanisms.ts';
import type { TokenPort } from './port.ts';
import { deriveSessionKey } from './session-key.ts';
import { SEALED_LENGTH, sealedBytes, unwrapStored } from './stored.ts';
import { requireMac, requireProof } from './verify.ts';

/** TokenPort.release: three doors in this order, MAC, proof, share. */
export function release(token: ReplicaToken, request: Parameters<TokenPort['release']>[0]): Bytes {
  const proofTranscript = exactly(32, request.proofTranscript, 'the proof’s transcript');
  const proof = exactly(32, request.proof, 'the proof');
  const { session, profile } = token;
  const reading = asOf(token, request.epoch); // but for the session key, which is of now
  requireMac(reading, request.mac, 'MAC_REFUSED');
  session.withTemporary((keep) => requireProof(token, keep(unwrapStored(reading, 'auth', request.wrappedAuth)), proofTranscript, proof));
  return session.withTemporary((keep) => {
    const wrapKey = keep(deriveSessionKey(token, request.clientKey, request.sessionTranscript));
    const share = keep(unwrapStored(reading, 'release', request.wrappedRelease));
    return sealedBytes(session.wrap(plain(profile.wrap.secret), wrapKey, share, SEALED_LENGTH));
  });
}
