import { ECDH } from 'node:crypto';
import { constantTimeEqual, fromHex } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';

// The token checks the curve whenever it computes. It is checked here, too, before anything is promised or spent on a point: an
// attempt that is counted for a point which no token evaluates would be lost.

/** −G: P + G, which an evaluation needs as well, would be the identity. */
const NEGATED_GENERATOR = fromHex('026b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296', 'G');

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

/** A point that tokens evaluate. Throws MALFORMED. */
export function parseBlindedElement(bytes: Uint8Array): CompressedPoint {
  const point = parseCurvePoint(bytes, 'point');
  if (constantTimeEqual(point, NEGATED_GENERATOR)) throw new VaultError('MALFORMED', 'point is the negated generator.');
  return point;
}
