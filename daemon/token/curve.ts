import { createECDH, ECDH } from 'node:crypto';
import { type Bytes, concat, constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';
import { lift, parseX, type XCoordinate } from '../../protocol/x-coordinate.ts';

// What the host does on P-256 around the token: all of it is OpenSSL's, since a tweak is a secret.

const CURVE = 'prime256v1';

/** SEC1 uncompressed, 65 bytes. Throws MALFORMED for x ≥ p and x off the curve; the group has prime order, so on the curve means in it. */
export function decompress(point: Uint8Array, what: string): Bytes {
  parsePoint(point, what);
  try {
    return bytesOf(ECDH.convertKey(point, CURVE, undefined, undefined, 'uncompressed') as Buffer);
  } catch {
    throw offCurve(what);
  }
}

/** An uncompressed SEC1 point, checked to be on the curve. */
export function compressSec1(point: Uint8Array, what: string): CompressedPoint {
  const sign = point.length === 65 && (point[64] as number) % 2 === 1 ? 3 : 2;
  const compressed = parsePoint(concat(Uint8Array.of(sign), point.subarray(1, 33)), what);
  if (!constantTimeEqual(decompress(compressed, what), point)) throw offCurve(what);
  return compressed;
}

/** x(scalar·point), in constant time. The scalar is in 1 … q−1 (protocol/scalar.ts). Throws MALFORMED as `decompress` does. */
export function multiplyX(scalar: Bytes, point: CompressedPoint, what: string): XCoordinate {
  parsePoint(point, what);
  multiplier.setPrivateKey(scalar);
  try {
    return parseX(bytesOf(multiplier.computeSecret(point)), what);
  } catch {
    throw offCurve(what);
  } finally {
    multiplier.setPrivateKey(ONE); // OpenSSL clears the memory of the one before
  }
}

const multiplier = createECDH(CURVE);
const ONE = new Uint8Array(32).fill(1, 31);

/** The element of an x coordinate of the curve, uncompressed, as it goes into a token. */
export function liftUncompressed(x: XCoordinate): Bytes {
  const point = lift(x);
  try {
    return decompress(point, 'a product');
  } finally {
    point.fill(0);
  }
}

/** The same memory, under the type that all else here has. */
const bytesOf = (buffer: Buffer): Bytes => new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.length);

const offCurve = (what: string): VaultError => new VaultError('MALFORMED', `${what} is not a point of the curve P-256.`);
