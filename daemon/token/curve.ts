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

const p = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;

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

/** P + G. The caller has dealt with P = ±G, where the chord's slope does not exist. */
export function addGenerator(point: AffinePoint): AffinePoint {
  const slope = modulo((point.y - generator.y) * inverse(modulo(point.x - generator.x)));
  const x = modulo(slope * slope - point.x - generator.x);
  return { x, y: modulo(slope * (generator.x - x) - generator.y) };
}

/**
 * Q = k·P from x(Q), x(k·(P+G)) and K = k·G. Lifting x(Q) gives ±Q; since k·(P+G) = Q + K, the addition law says of the right one
 *   (x(Q+K) + x_Q + x_K)·(x_Q − x_K)² = (y_Q − y_K)²  (mod p).
 * Exactly one may satisfy it. None means that K is not this key's public key, or that the token miscalculated: TOKEN_FAULT, never a guess.
 */
export function recoverSign(xOfProduct: Uint8Array, xOfSum: Uint8Array, publicKey: AffinePoint): CompressedPoint {
  const even = lift(xOfProduct);
  const difference = even.x - publicKey.x;
  // x_Q = x_K only for Q = ±K, that is P = ±G, which never gets here: both sides would be free of the point k·(P+G).
  if (difference === 0n) throw disagreement();
  const left = modulo((toInteger(xOfSum) + even.x + publicKey.x) * difference * difference);
  const odd: AffinePoint = { x: even.x, y: p - even.y };
  const [candidate, ...others] = [even, odd].filter((q) => modulo((q.y - publicKey.y) ** 2n) === left);
  if (candidate === undefined || others.length > 0) throw disagreement();
  return compress(candidate);
}

function lift(x: Uint8Array): AffinePoint {
  try {
    return decompress(concat(Uint8Array.of(2), x), 'a derived value');
  } catch (cause) {
    throw new VaultError('TOKEN_FAULT', 'The token derived a value that is no x coordinate of P-256.', { cause });
  }
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
