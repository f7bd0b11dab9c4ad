import type { Bytes } from '../../primitives/bytes.ts';
import { exactly } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { decompress, uncompressed } from './curve.ts';
import type { ReplicaToken, StorageToken } from './keys/replica.ts';
import { type KekPurpose, kekMechanism, stored } from './keys/templates.ts';
import type { Template } from './pkcs11/attributes.ts';
import { plain } from './pkcs11/mechanisms.ts';
import type { KeyHandle } from './pkcs11/session.ts';

/** A P-256 private key as PKCS#8, wrapped, takes 80 bytes on SoftHSM; with the public key and more padding it stays far below this. */
export const WRAPPED_KEY_MAX = 256;
/** AES-KW (RFC 3394 §2) adds 8 bytes to a secret of 32. */
export const SEALED_LENGTH = 40;

/**
 * Opens what this replica stored. The blob is covered by a MAC that was verified, so a refusal means a fault (TOKEN_FAULT) and not an
 * attack; SoftHSM answers GENERAL_ERROR to a corrupted blob.
 */
export function unwrapStored(token: StorageToken, purpose: KekPurpose, blob: Uint8Array, more?: Template): KeyHandle {
  const { session, profile, keys } = token;
  if (purpose !== 'oprf') exactly(SEALED_LENGTH, blob, `the wrapped ${purpose} secret`);
  else if (blob.length === 0 || blob.length > WRAPPED_KEY_MAX)
    throw new VaultError('MALFORMED', `The wrapped OPRF key must be 1 to ${WRAPPED_KEY_MAX} bytes, got ${blob.length}.`);
  const template = stored(purpose, profile);
  return session.unwrap(plain(kekMechanism(purpose, profile)), keys[`kek-${purpose}`], blob, more ? { ...template, ...more } : template);
}

/** An OPRF key. Some tokens do not compute a public key from an unwrapped private one, and want to be told. */
export function unwrapOprfKey(token: StorageToken, blob: Uint8Array, publicKey: CompressedPoint): KeyHandle {
  return unwrapStored(token, 'oprf', blob, unwrapExtras(token, publicKey));
}

/** What an OPRF key's template needs besides: CKA_NSS_DB of an EC private key is its public point. */
export const unwrapExtras = ({ profile }: Pick<ReplicaToken, 'profile'>, publicKey: CompressedPoint): Template | undefined =>
  profile.ecUnwrap === 'with-nss-db' ? { nssDb: uncompressed(decompress(publicKey, 'the public key')) } : undefined;

/** Wraps a secret of 32 bytes for storage. */
export function wrapSecret(token: ReplicaToken, purpose: 'auth' | 'release', secret: KeyHandle): Bytes {
  const { session, profile, keys } = token;
  return sealedBytes(session.wrap(plain(profile.wrap.secret), keys[`kek-${purpose}`], secret, WRAPPED_KEY_MAX));
}

/** AES-KW of anything but 32 bytes is not what the protocol carries. */
export function sealedBytes(wrapped: Bytes): Bytes {
  if (wrapped.length !== SEALED_LENGTH)
    throw new VaultError('TOKEN_FAULT', `The token wrapped 32 bytes into ${wrapped.length} instead of ${SEALED_LENGTH}.`);
  return wrapped;
}
