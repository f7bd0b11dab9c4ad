import type { Bytes } from './bytes.ts';
import { VaultError } from './errors.ts';

/** RFC 4648 §4, padded. */
export const toBase64 = (bytes: Uint8Array): string => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));

/** Accepts what toBase64 writes and nothing else. Throws MALFORMED, naming `what`. */
export function fromBase64(text: string, what: string): Bytes {
  try {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    if (toBase64(bytes) === text) return bytes; // no white space, no missing padding, no loose bits
  } catch {
    // said below
  }
  throw new VaultError('MALFORMED', `${what} must be base64 (RFC 4648 §4).`);
}
