import { createPublicKey, ECDH, type KeyObject, verify } from 'node:crypto';
import type { CompressedPoint } from '../../protocol/point.ts';
import type { Transcript } from '../../protocol/transcript.ts';

/** A point of P-256 as Node's verify wants a public key. Throws what OpenSSL does for one that is not on the curve. */
export function publicKey(point: CompressedPoint): KeyObject {
  const uncompressed = ECDH.convertKey(point, 'prime256v1', undefined, undefined, 'uncompressed') as Buffer;
  const coordinate = (from: number) => uncompressed.subarray(from, from + 32).toString('base64url');
  return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: coordinate(1), y: coordinate(33) }, format: 'jwk' });
}

export const SIGNATURE_LENGTH = 64;

/** ECDSA with SHA-256 over a transcript: r‖s, 64 bytes. */
export const isSigned = (transcript: Transcript, signature: Uint8Array, key: KeyObject): boolean =>
  verify('sha256', transcript.preimage, { key, dsaEncoding: 'ieee-p1363' }, signature);
