import { createPublicKey, ECDH, type KeyObject, verify } from 'node:crypto';
import { VaultError } from '../../primitives/errors.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';
import type { Statement } from '../../protocol/statement.ts';
import type { Transcript } from '../../protocol/transcript.ts';
import { parseX, type XCoordinate } from '../../protocol/x-coordinate.ts';

// The token checks the curve whenever it computes. It is checked here, too, before anything is promised or spent on a point: an
// attempt that is counted for a point which no token evaluates would be lost.

/** A point of P-256, which is not the identity. Throws MALFORMED naming `what`. */
export function parseCurvePoint(bytes: Uint8Array, what: string): CompressedPoint {
  const point = parsePoint(bytes, what);
  try {
    ECDH.convertKey(point, 'prime256v1');
  } catch (cause) {
    throw new VaultError('MALFORMED', `${what} is not on the curve P-256.`, { cause });
  }
  return point;
}

/** The x coordinate of a point of P-256. Throws MALFORMED naming `what`. */
export function parseCurveX(bytes: Uint8Array, what: string): XCoordinate {
  const x = parseX(bytes, what);
  parseCurvePoint(Buffer.concat([Buffer.of(2), x]), what);
  return x;
}

/** A point of P-256 as Node's verify wants a public key. Throws what OpenSSL does for one that is not on the curve. */
export function publicKey(point: CompressedPoint): KeyObject {
  const uncompressed = ECDH.convertKey(point, 'prime256v1', undefined, undefined, 'uncompressed') as Buffer;
  const coordinate = (from: number) => uncompressed.subarray(from, from + 32).toString('base64url');
  return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: coordinate(1), y: coordinate(33) }, format: 'jwk' });
}

/** V_i of every replica, by index. */
export const receiptKeys = (statement: Statement): Map<number, KeyObject> =>
  new Map(statement.replicas.map(({ index, receiptKey }) => [index, publicKey(receiptKey)]));

/** ECDSA with SHA-256 over a transcript: r‖s, 64 bytes. */
export const isSigned = (transcript: Transcript, signature: Uint8Array, key: KeyObject): boolean =>
  verify('sha256', transcript.preimage, { key, dsaEncoding: 'ieee-p1363' }, signature);
