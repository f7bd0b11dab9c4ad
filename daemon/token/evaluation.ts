import type { Bytes } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import type { CompressedPoint } from '../../protocol/point.ts';
import { type AffinePoint, decompress, generator, prepare, recoverSign } from './curve.ts';

/** Points for the token to multiply by k, and what makes k·P of the x coordinates of their products. */
export interface Evaluation {
  readonly points: readonly AffinePoint[];
  readonly finish: (xs: readonly Bytes[]) => CompressedPoint;
}

/**
 * What an evaluation takes beside the token. It is no business of the token's thread, which has one call of the module's after another to
 * wait for: with SoftHSM2 it would be an eighth of its time.
 */
export function beginEvaluation(publicKey: CompressedPoint, point: CompressedPoint): Evaluation {
  const element = decompress(point, 'the blinded element');
  const ownKey = decompress(publicKey, 'the public key');
  if (element.x === generator.x) {
    // P = G gives K. For P = −G the second point P + G would be the identity.
    if (element.y === generator.y) return { points: [], finish: () => publicKey };
    throw new VaultError('MALFORMED', 'The blinded element is the negated generator.');
  }
  const { sum, key } = prepare(element, ownKey);
  return { points: [element, sum], finish: (xs) => recoverSign(...(xs as [Bytes, Bytes]), key) };
}
