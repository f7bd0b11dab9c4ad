import { ECDH } from 'node:crypto';
import { type Bytes, concat, constantTimeEqual } from '../../primitives/bytes.ts';
import { VaultError } from '../../primitives/errors.ts';
import { type CompressedPoint, parsePoint } from '../../protocol/point.ts';

/**
 * The little P-256 arithmetic that the host does around the token: decompress, add the generator, find the sign of y.
 * Every value here is known to the client that sent the point, so nothing needs constant time.
 */
export interface AffinePoint {
  readonly x: bigint;
  readonly y: bigint;
}

// y² = x³ − 3x + b (mod p)
const p = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const b = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;

export const generator: AffinePoint = {
  x: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  y: 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
};

/** OpenSSL finds y, and refuses x ≥ p and x off the curve; the group has prime order, so on the curve means in the group. */
export function decompress(point: Uint8Array, what: string): AffinePoint {
  parsePoint(point, what);
  let uncompressed: Buffer;
  try {
    uncompressed = ECDH.convertKey(point, 'prime256v1', undefined, undefined, 'uncompressed') as Buffer;
  } catch {
    throw new VaultError('MALFORMED', `${what} is not on the curve P-256.`);
  }
  return { x: toInteger(uncompressed.subarray(1, 33)), y: toInteger(uncompressed.subarray(33)) };
}

export const compress = (point: AffinePoint): CompressedPoint =>
  parsePoint(concat(Uint8Array.of(point.y & 1n ? 3 : 2), toBytes(point.x)), 'a computed point');

/** An uncompressed SEC1 point, checked to be on the curve. */
export function compressSec1(point: Uint8Array, what: string): CompressedPoint {
  const sign = point.length === 65 && (point[64] as number) % 2 === 1 ? 3 : 2;
  const compressed = parsePoint(concat(Uint8Array.of(sign), point.subarray(1, 33)), what);
  if (!constantTimeEqual(uncompressed(decompress(compressed, what)), point))
    throw new VaultError('MALFORMED', `${what} is not an uncompressed point on P-256.`);
  return compressed;
}

/** SEC1 uncompressed, 65 bytes: what tokens take. */
export const uncompressed = (point: AffinePoint): Bytes => concat(Uint8Array.of(4), toBytes(point.x), toBytes(point.y));

/** K, and what dividing by 2·y_K takes. */
export interface PreparedKey extends AffinePoint {
  readonly inverseOf2y: bigint;
}

/**
 * P + G, and K prepared for `recoverSign`: one inversion for both (Montgomery's trick), since it costs as much as all the rest here. The
 * caller has dealt with P = ±G, where the chord's slope does not exist; y is 0 for no point of a group of odd order.
 */
export function prepare(point: AffinePoint, publicKey: AffinePoint): { readonly sum: AffinePoint; readonly key: PreparedKey } {
  const run = point.x - generator.x;
  const twiceY = 2n * publicKey.y;
  const inverseOfBoth = inverse(modulo(run * twiceY));
  const slope = modulo((point.y - generator.y) * modulo(twiceY * inverseOfBoth));
  const x = modulo(slope * slope - point.x - generator.x);
  const sum = { x, y: modulo(slope * (generator.x - x) - generator.y) };
  return { sum, key: { ...publicKey, inverseOf2y: modulo(run * inverseOfBoth) } };
}

/**
 * Q = k·P from x(Q), x(k·(P+G)) and K = k·G. Since k·(P+G) = Q + K, the addition law says
 *   (x(Q+K) + x_Q + x_K)·(x_Q − x_K)² = (y_Q − y_K)² = y_Q² − 2·y_Q·y_K + y_K²  (mod p),
 * and the curve's equation gives the squares: what is left is one y, without a root. If it is not on the curve, then K is not this key's
 * public key, or the token miscalculated: TOKEN_FAULT, never a guess.
 */
export function recoverSign(xOfProduct: Uint8Array, xOfSum: Uint8Array, publicKey: PreparedKey): CompressedPoint {
  const x = toInteger(xOfProduct);
  const difference = x - publicKey.x;
  // x_Q = x_K only for Q = ±K, that is P = ±G, which never gets here: the left side would be free of the point k·(P+G).
  if (x >= p || difference === 0n) throw disagreement();
  const left = (toInteger(xOfSum) + x + publicKey.x) * modulo(difference * difference);
  const ySquared = modulo(x * modulo(x * x - 3n) + b);
  const y = modulo(modulo(ySquared + publicKey.y * publicKey.y - left) * publicKey.inverseOf2y);
  if (modulo(y * y) !== ySquared) throw disagreement();
  return compress({ x, y });
}

const disagreement = (): VaultError => new VaultError('TOKEN_FAULT', 'The token’s derivations do not fit the public key of the key used.');

const modulo = (value: bigint): bigint => {
  const rest = value % p;
  return rest < 0n ? rest + p : rest;
};

/** Extended Euclid: 20 µs, where Fermat’s exponentiation takes 150. `value` is in 1 … p−1. */
function inverse(value: bigint): bigint {
  let [a, b, x, y] = [value, p, 1n, 0n];
  while (a !== 1n) {
    const quotient = b / a;
    [a, b, x, y] = [b - quotient * a, a, y - quotient * x, x];
  }
  return modulo(x);
}

const toInteger = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
const toBytes = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(64, '0'), 'hex');
