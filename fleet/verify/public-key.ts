import { p256 } from '@noble/curves/nist.js';
import { type Bytes, constantTimeEqual, fromHex } from '../../primitives/bytes.ts';
import { refusing } from './checks.ts';
import { hexHash } from './files.ts';

/** A P-256 key as openssl writes it. */
export interface PublicKey {
  /** SEC1, uncompressed. */
  readonly point: Bytes;
  /** SHA-256 of the SubjectPublicKeyInfo in DER, in hexadecimal: the fingerprint. */
  readonly fingerprint: string;
}

// SubjectPublicKeyInfo of an uncompressed point of P-256 (RFC 5480 §2), up to the point
const PREFIX = fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'prefix');

/** Throws participant-signature for what is no P-256 key in PEM. */
export const parsePublicKey = (pem: string): PublicKey =>
  refusing('participant-signature', 'A participant’s key is not a P-256 public key in PEM.', () => {
    const [, body] = /^-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/=\n]+)\n-----END PUBLIC KEY-----\n?$/.exec(pem) ?? [];
    const der = Uint8Array.from(atob((body ?? '').replaceAll('\n', '')), (character) => character.charCodeAt(0));
    const point = der.slice(PREFIX.length);
    if (!constantTimeEqual(der.subarray(0, PREFIX.length), PREFIX)) throw new Error('not the SubjectPublicKeyInfo of a point of P-256');
    p256.Point.fromBytes(point);
    return { point, fingerprint: hexHash(der) };
  });

/** The same key, as openssl writes it. `point` is SEC1, uncompressed. */
export function formatPublicKey(point: Uint8Array): string {
  const base64 = btoa(String.fromCharCode(...PREFIX, ...point));
  return `-----BEGIN PUBLIC KEY-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END PUBLIC KEY-----\n`;
}
