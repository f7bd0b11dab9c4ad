import type { Bytes } from '../primitives/bytes.ts';
import { VaultError } from '../primitives/errors.ts';

// AES Key Wrap (RFC 3394) of a 32-byte secret: what a token unwraps without showing it to its host. WebCrypto wraps keys and not
// bytes, so the secret is imported as an HMAC key, the one kind that takes any 32 bytes as they are.
const secretKind = { name: 'HMAC', hash: 'SHA-256', length: 256 };

export async function seal(key: Bytes, secret: Bytes): Promise<Bytes> {
  const wrapping = await crypto.subtle.importKey('raw', key, 'AES-KW', false, ['wrapKey']);
  const wrapped = await crypto.subtle.importKey('raw', secret, secretKind, true, ['sign']);
  return new Uint8Array(await crypto.subtle.wrapKey('raw', wrapped, wrapping, 'AES-KW'));
}

/** Throws REPLY_UNTRUSTED for what was not sealed with this key. */
export async function unseal(key: Bytes, sealed: Uint8Array): Promise<Bytes> {
  const wrapping = await crypto.subtle.importKey('raw', key, 'AES-KW', false, ['unwrapKey']);
  try {
    const secret = await crypto.subtle.unwrapKey('raw', sealed as Bytes, wrapping, 'AES-KW', secretKind, true, ['sign']);
    return new Uint8Array(await crypto.subtle.exportKey('raw', secret));
  } catch (cause) {
    throw new VaultError('REPLY_UNTRUSTED', 'A sealed share does not open.', { cause });
  }
}
