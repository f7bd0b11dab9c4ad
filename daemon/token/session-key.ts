import { type Bytes, exactly } from '../../primitives/bytes.ts';
import { isVaultError, VaultError } from '../../primitives/errors.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { decompress } from './curve.ts';
import { publicData } from './evaluate.ts';
import type { ReplicaToken } from './keys/replica.ts';
import { opened, sessionWrapKey, sharedSecret } from './keys/templates.ts';
import { positiveControl } from './pkcs11/failure.ts';
import { CKM, cbcEncryptData, ecdh, ecdhSha256, plain } from './pkcs11/mechanisms.ts';
import type { KeyHandle } from './pkcs11/session.ts';
import type { Sealed } from './port.ts';
import { SEALED_LENGTH } from './stored.ts';

const ZERO_IV = new Uint8Array(16); // the data is one hash, never twice under one key: E is fresh

/**
 * Suite A: ECDH by CKD_NULL, then AES-CBC of the transcript under the shared x. Suite B: ECDH by CKD_SHA256_KDF, with the transcript as
 * shared info. The host sees neither x nor key.
 */
export function deriveSessionKey(token: ReplicaToken, clientKey: CompressedPoint, transcript: Uint8Array): KeyHandle {
  const { session, profile, keys } = token;
  const point = decompress(clientKey, 'the client’s ephemeral key');
  exactly(32, transcript, 'the session transcript');
  if (profile.sessionSuite === 'B')
    return session.derive(ecdhSha256(publicData(token, point), transcript), keys.session, sessionWrapKey(profile));
  return session.withTemporary((keep) => {
    const shared = keep(session.derive(ecdh(publicData(token, point)), keys.session, sharedSecret));
    return session.derive(cbcEncryptData(ZERO_IV, transcript), shared, sessionWrapKey(profile));
  });
}

/**
 * Opens a client's secret inside the token. The integrity check of AES-KW fails for another key, transcript or blob: SEAL_REFUSED. Tokens
 * agree on no return value there (SoftHSM: GENERAL_ERROR), so where one fails, it has to open what it sealed itself with the same key,
 * and is then asked again.
 */
export function openSealed(token: ReplicaToken, purpose: 'auth' | 'release', clientKey: CompressedPoint, sealed: Sealed): KeyHandle {
  const { session, profile } = token;
  exactly(SEALED_LENGTH, sealed.sealed, `the sealed ${purpose} secret`);
  return session.withTemporary((keep) => {
    const wrapKey = keep(deriveSessionKey(token, clientKey, sealed.sessionTranscript));
    const open = (blob: Uint8Array) => session.unwrap(plain(profile.wrap.secret), wrapKey, blob, opened(purpose, profile));
    try {
      return open(sealed.sealed);
    } catch (error) {
      if (!isVaultError(error, 'TOKEN_FAULT')) throw error;
    }
    positiveControl(() => keep(open(sealedSecret(token, wrapKey))));
    try {
      return open(sealed.sealed);
    } catch (cause) {
      if (!isVaultError(cause, 'TOKEN_FAULT')) throw cause;
      throw new VaultError('SEAL_REFUSED', `The sealed ${purpose} secret does not open with its session key.`, { cause });
    }
  });
}

/** A secret that the token makes and seals, as a client would. */
const sealedSecret = ({ session, profile }: ReplicaToken, wrapKey: KeyHandle): Bytes =>
  session.withTemporary((keep) => {
    const secret = keep(session.generateKey(plain(CKM.GENERIC_SECRET_KEY_GEN), { ...opened('release', profile), valueLength: 32 }));
    return session.wrap(plain(profile.wrap.secret), wrapKey, secret, SEALED_LENGTH);
  });
