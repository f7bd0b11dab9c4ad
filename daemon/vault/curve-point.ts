import { ECDH } from 'node:crypto';
import { VaultError } from '../../primitives/errors.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';

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
